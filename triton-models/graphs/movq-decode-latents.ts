import type { MovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution1x1, convolution3x3 } from './layers.ts';
import { attentionBlock, type Norm, resNetBlock, spatialNorm } from './movq-blocks.ts';
import {
  convolveWindows,
  optionalTemporalAttention,
  optionalTemporalResNet,
  type Windows,
} from './movq-video-blocks.ts';
import { type Layer, named, silu, type Value, when } from './value.ts';

/** The last convolution stays float32. */
export const movqAllowsHalf: HalfPrecisionRules = { conv_out: false };

/**
 * MoVQ's decoder: latents `[n, z, h, w]` → decoded `[n, 3, 8h, 8w]`, about [−1, 1]. Without windows the frames are
 * independent; with windows this is the temporal decoder.
 */
export function decodeLatents(latents: Value, config: MovqConfig, windows?: Windows): Value {
  const { z_channels: z, ch_mult: multiples } = config;
  const last = multiples.length - 1;
  const decoder = named('decoder', (input) => {
    let norms = normsAt(latents, config, 1, windows);
    const width = config.ch * multiples[last]!;
    let x = input.through(convolution3x3('conv_in', width), middle(norms, windows));
    for (let i = last; i >= 0; i--) {
      x = x.through(level(i, config, norms, windows));
      if (i > 0) {
        x = x.through(enlarge(2), convolution3x3(`up.${i}.upsample.conv`, x.channels));
        norms = normsAt(latents, config, 2 ** (last - i + 1), windows);
      }
    }
    return x.through(norms.frame('norm_out'), silu, convolution3x3('conv_out', config.out_ch));
  });
  return latents.through(convolution1x1('post_quant_conv', z), decoder);
}

/** The residual blocks of level `i`, with attention if the network has it at that size. */
function level(i: number, config: MovqConfig, norms: Norms, windows: Windows | undefined): Layer {
  const to = config.ch * config.ch_mult[i]!;
  const hasAttention = config.attn_resolutions.includes(config.resolution / 2 ** i);
  const blocks = Array.from({ length: config.num_res_blocks + 1 }, (_, j): Layer => {
    return (x) =>
      x.through(
        windowResNet(`up.${i}.block.${j}`, to, norms, windows),
        optionalTemporalResNet(`up.${i}.temporal_block.${j}`, norms.frame, windows),
        when(hasAttention, () => attentionBlock(`up.${i}.attn.${j}`, norms.attention)),
        when(hasAttention, () => optionalTemporalAttention(`up.${i}.temporal_attn.${j}`, windows)),
      );
  });
  return (x) => x.through(...blocks);
}

function middle(norms: Norms, windows: Windows | undefined): Layer {
  return (x) =>
    x.through(
      windowResNet('mid.block_1', x.channels, norms, windows),
      attentionBlock('mid.attn_1', norms.attention),
      optionalTemporalAttention('mid.temporal_attn_1', windows),
      optionalTemporalResNet('mid.temporal_block_1', norms.frame, windows),
      windowResNet('mid.block_2', x.channels, norms, windows),
      optionalTemporalResNet('mid.temporal_block_2', norms.frame, windows),
    );
}

const windowResNet = (name: string, to: number, norms: Norms, windows: Windows | undefined) =>
  resNetBlock(name, to, norms.frame, windows && convolveWindows(name, windows));

/** The norms at one size of activations. */
interface Norms {
  frame: Norm;
  attention: Norm;
}

/** The norms are conditioned on the latents before `post_quant_conv`. */
function normsAt(latents: Value, { groups }: MovqConfig, factor: number, windows?: Windows): Norms {
  const zoomed = latents.through(when(factor !== 1, () => enlarge(factor)));
  const frame = spatialNorm(zoomed, groups);
  if (windows === undefined) {
    return { frame, attention: frame };
  }
  // The published temporal decoder conditions every frame's attention on the first frame of its window.
  return { frame, attention: spatialNorm(zoomed.rows(firstOfWindow(windows)), groups) };
}

/** The first frame of each frame's window: 0 … 0 F … F 2F …, integers `[frames]`. */
function firstOfWindow({ frames: { total, perVideo } }: Windows): Value {
  const { graph } = total;
  const perWindow = typeof perVideo === 'number' ? graph.integers([perVideo]) : perVideo;
  return graph.once('first of window', () => total.range().over(perWindow).times(perWindow));
}

/** x `[n, C, h, w]` upsampled `factor` times by nearest neighbour. */
function enlarge(factor: number): Layer {
  return (x) =>
    x.graph.node('Resize', [x, undefined, x.graph.floats([1, 1, factor, factor])], {
      mode: 'nearest',
      nearest_mode: 'floor',
      coordinate_transformation_mode: 'asymmetric',
    });
}
