import type { Graph, Value } from './graph.ts';
import { convolution } from './layers.ts';
import { attentionBlock, middle, resNetBlock, spatialNorm, square } from './movq-blocks.ts';
import type { MovqConfig } from './network-configs.ts';
import { add, multiply, silu, transpose } from './operators.ts';

/** MoVQ's image decoder as it is served, one item a frame: latents `[n, z, h, w]` → frames `[n, 8h, 8w, 3]`, bytes. */
export function movqDecoder(g: Graph, config: MovqConfig): void {
  const image = decode(g, config);
  const unit = add(g, multiply(g, image, g.floats([0.5], [])), g.floats([0.5], []));
  const clipped = g.node('Clip', [unit, g.floats([0], []), g.floats([1], [])]);
  const rounded = g.node('Round', [multiply(g, clipped, g.floats([255], []))]);
  const bytes = g.node('Cast', [transpose(g, rounded, [0, 2, 3, 1])], { to: 2 });
  g.output('frames', bytes, 'uint8', ['frames', 'height', 'width', config.out_ch]);
}

/** The same decoder before rounding: latents `[n, z, h, w]` → decoded `[n, 3, 8h, 8w]`, about [−1, 1]. */
export function movqImageDecoder(g: Graph, config: MovqConfig): void {
  g.output('decoded', decode(g, config), 'float32', ['frames', config.out_ch, 'height', 'width']);
}

function decode(g: Graph, config: MovqConfig): Value {
  const { z_channels: z, ch_mult: multiples, groups } = config;
  const latents = g.input('latents', 'float32', ['frames', z, 'latent_height', 'latent_width']);
  const input = convolution(g, 'post_quant_conv', latents, { inChannels: z, outChannels: z, kernel: 1 });
  return g.module('decoder', () => {
    // What conditions the norms is the latents before post_quant_conv.
    let norm = spatialNorm(latents, z, groups);
    const last = multiples.length - 1;
    let width = config.ch * multiples[last]!;
    let x = convolution(g, 'conv_in', input, square(z, width));
    x = middle(g, x, width, norm);
    for (let i = last; i >= 0; i--) {
      const to = config.ch * multiples[i]!;
      const hasAttention = config.attn_resolutions.includes(config.resolution / 2 ** i);
      for (let j = 0; j <= config.num_res_blocks; j++) {
        x = resNetBlock(g, `up.${i}.block.${j}`, x, width, to, norm);
        width = to;
        if (hasAttention) {
          x = attentionBlock(g, `up.${i}.attn.${j}`, x, width, norm);
        }
      }
      if (i > 0) {
        x = convolution(g, `up.${i}.upsample.conv`, enlarge(g, x, 2), square(width, width));
        norm = spatialNorm(enlarge(g, latents, 2 ** (last - i + 1)), z, groups);
      }
    }
    return convolution(g, 'conv_out', silu(g, norm(g, 'norm_out', x, width)), square(width, config.out_ch));
  });
}

/** x `[n, C, h, w]` enlarged `factor` times to the nearest neighbour. */
function enlarge(g: Graph, x: Value, factor: number): Value {
  return g.node('Resize', [x, '', g.floats([1, 1, factor, factor])], {
    mode: 'nearest',
    nearest_mode: 'floor',
    coordinate_transformation_mode: 'asymmetric',
  });
}
