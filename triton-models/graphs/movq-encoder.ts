import type { MovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { Graph, Value } from './graph.ts';
import { convolution } from './layers.ts';
import { attentionBlock, type Norm, plainNorm, resNetBlock, square } from './movq-blocks.ts';
import { silu } from './operators.ts';

/** MoVQ's encoder: image `[n, 3, 8h, 8w]` in [−1, 1] → encoded `[n, z, h, w]`. */
export function movqEncoder(g: Graph, config: MovqConfig): void {
  const { in_channels: colours, z_channels: z } = config;
  const image = g.input('image', 'float32', ['images', colours, 'height', 'width']);
  const latents = g.module('encoder', () => encode(g, image, config));
  const encoded = convolution(g, 'quant_conv', latents, { inChannels: z, outChannels: z, kernel: 1 });
  g.output('encoded', encoded, 'float32', ['images', z, 'latent_height', 'latent_width']);
}

function encode(g: Graph, image: Value, config: MovqConfig): Value {
  const last = config.ch_mult.length - 1;
  const norm = plainNorm(config.groups);
  let width = config.ch;
  let x = convolution(g, 'conv_in', image, square(config.in_channels, width));
  config.ch_mult.forEach((multiple, i) => {
    const to = config.ch * multiple;
    const hasAttention = config.attn_resolutions.includes(config.resolution / 2 ** i);
    for (let j = 0; j < config.num_res_blocks; j++) {
      x = resNetBlock(g, `down.${i}.block.${j}`, x, width, to, norm);
      width = to;
      if (hasAttention) {
        x = attentionBlock(g, `down.${i}.attn.${j}`, x, width, norm);
      }
    }
    if (i < last) {
      // Padded at the right and the bottom only.
      const halving = { inChannels: width, outChannels: width, kernel: 3, stride: 2, padding: [0, 0, 1, 1] as const };
      x = convolution(g, `down.${i}.downsample.conv`, x, halving);
    }
  });
  const out = norm(g, 'norm_out', middle(g, x, width, norm), width);
  return convolution(g, 'conv_out', silu(g, out), square(width, config.z_channels));
}

function middle(g: Graph, x: Value, channels: number, norm: Norm): Value {
  return g.module('mid', () => {
    const first = resNetBlock(g, 'block_1', x, channels, channels, norm);
    const attended = attentionBlock(g, 'attn_1', first, channels, norm);
    return resNetBlock(g, 'block_2', attended, channels, channels, norm);
  });
}
