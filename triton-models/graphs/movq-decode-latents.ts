import type { MovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { Graph, Value } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution } from './layers.ts';
import { attentionBlock, type Norm, resNetBlock, spatialNorm, square } from './movq-blocks.ts';
import {
  convolveWindows,
  optionalTemporalAttention,
  optionalTemporalResNet,
  type Windows,
} from './movq-video-blocks.ts';
import { multiply, range, silu } from './operators.ts';

/** The last convolution stays float32. */
export const movqAllowsHalf: HalfPrecisionRules = { conv_out: false };

/**
 * MoVQ's decoder: latents `[n, z, h, w]` → decoded `[n, 3, 8h, 8w]`, about [−1, 1]. Without windows the frames know
 * nothing of each other; with windows it is the temporal decoder.
 */
export function decodeLatents(g: Graph, config: MovqConfig, latents: Value, windows?: Windows): Value {
  const { z_channels: z, ch_mult: multiples } = config;
  const input = convolution(g, 'post_quant_conv', latents, { inChannels: z, outChannels: z, kernel: 1 });
  return g.module('decoder', () => {
    const last = multiples.length - 1;
    let norms = normsAt(g, config, latents, 1, windows);
    let width = config.ch * multiples[last]!;
    const resNet = (name: string, value: Value, to: number) =>
      resNetBlock(g, name, value, width, to, norms.frame, windows && convolveWindows(name, windows));

    let x = middle(g, convolution(g, 'conv_in', input, square(z, width)), width, norms, windows);
    for (let i = last; i >= 0; i--) {
      const to = config.ch * multiples[i]!;
      const hasAttention = config.attn_resolutions.includes(config.resolution / 2 ** i);
      for (let j = 0; j <= config.num_res_blocks; j++) {
        x = resNet(`up.${i}.block.${j}`, x, to);
        width = to;
        x = optionalTemporalResNet(g, `up.${i}.temporal_block.${j}`, x, width, norms.frame, windows);
        if (hasAttention) {
          x = attentionBlock(g, `up.${i}.attn.${j}`, x, width, norms.attention);
          x = optionalTemporalAttention(g, `up.${i}.temporal_attn.${j}`, x, width, windows);
        }
      }
      if (i > 0) {
        x = convolution(g, `up.${i}.upsample.conv`, enlarge(g, x, 2), square(width, width));
        norms = normsAt(g, config, latents, 2 ** (last - i + 1), windows);
      }
    }
    return convolution(g, 'conv_out', silu(g, norms.frame(g, 'norm_out', x, width)), square(width, config.out_ch));
  });
}

function middle(g: Graph, x: Value, channels: number, norms: Norms, windows: Windows | undefined): Value {
  const resNet = (name: string, value: Value) =>
    resNetBlock(g, name, value, channels, channels, norms.frame, windows && convolveWindows(name, windows));
  const first = resNet('mid.block_1', x);
  const attended = attentionBlock(g, 'mid.attn_1', first, channels, norms.attention);
  const overTime = optionalTemporalAttention(g, 'mid.temporal_attn_1', attended, channels, windows);
  const between = optionalTemporalResNet(g, 'mid.temporal_block_1', overTime, channels, norms.frame, windows);
  const second = resNet('mid.block_2', between);
  return optionalTemporalResNet(g, 'mid.temporal_block_2', second, channels, norms.frame, windows);
}

/** The norms of one size of activations. */
interface Norms {
  frame: Norm;
  attention: Norm;
}

/** What conditions the norms is the latents as they came, before `post_quant_conv`. */
function normsAt(g: Graph, config: MovqConfig, latents: Value, factor: number, windows?: Windows): Norms {
  const { z_channels: z, groups } = config;
  const zoomed = factor === 1 ? latents : enlarge(g, latents, factor);
  const frame = spatialNorm(zoomed, z, groups);
  if (windows === undefined) {
    return { frame, attention: frame };
  }
  // The published temporal decoder conditions every frame's attention on the first frame of its window.
  const ofFirst = g.node('Gather', [zoomed, firstOfWindow(g, windows)], { axis: 0 });
  return { frame, attention: spatialNorm(ofFirst, z, groups) };
}

/** The first frame of each frame's window: 0 … 0 F … F 2F …, integers `[frames]`. */
function firstOfWindow(g: Graph, { frames }: Windows): Value {
  const perWindow = typeof frames.perVideo === 'number' ? g.integers([frames.perVideo]) : frames.perVideo;
  return g.once('first of window', () => multiply(g, g.node('Div', [range(g, frames.total), perWindow]), perWindow));
}

/** x `[n, C, h, w]` enlarged `factor` times to the nearest neighbour. */
function enlarge(g: Graph, x: Value, factor: number): Value {
  return g.node('Resize', [x, '', g.floats([1, 1, factor, factor])], {
    mode: 'nearest',
    nearest_mode: 'floor',
    coordinate_transformation_mode: 'asymmetric',
  });
}
