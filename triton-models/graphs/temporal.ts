import { attention } from './attention.ts';
import { conditionalGroupNorm } from './conditional-group-norm.ts';
import { feedForward } from './feed-forward.ts';
import type { Graph, Value } from './graph.ts';
import { add, multiply, reshape, silu, sizesOf, transpose } from './operators.ts';
import type { Conditions, Frames } from './unet-conditions.ts';

/** x `[frames, C, h, w]` → `[videos, T, C, h·w]`. */
export function byVideo(g: Graph, x: Value, channels: number, frames: Frames): Value {
  return reshape(g, x, [frames.videos, frames.perVideo, channels, -1]);
}

/** Convolution over three frames, kernel 3×1×1 and padding 1×0×0, of x `[frames, C, h, w]`. */
export function threeFrameConvolution(
  g: Graph,
  x: Value,
  inChannels: number,
  outChannels: number,
  frames: Frames,
): Value {
  // Time and position as the two axes of a 2D convolution: the kernels for those are far faster than for 3D ones.
  const timeAsHeight = transpose(g, byVideo(g, x, inChannels, frames), [0, 2, 1, 3]);
  const weight = g.parameter('weight', [outChannels, inChannels, 3, 1, 1], [outChannels, inChannels, 3, 1]);
  const convolved = g.node('Conv', [timeAsHeight, weight, g.parameter('bias', [outChannels])], {
    kernel_shape: [3, 1],
    pads: [1, 0, 1, 0],
  });
  return reshape(g, transpose(g, convolved, [0, 2, 1, 3]), [-1, outChannels, sizesOf(g, x, 2, 4)]);
}

/** Convolution over one frame, kernel 1×1×1, of x `[frames, C, h, w]`. */
function oneFrameConvolution(g: Graph, x: Value, inChannels: number, outChannels: number): Value {
  const weight = g.parameter('weight', [outChannels, inChannels, 1, 1, 1], [outChannels, inChannels, 1, 1]);
  return g.node('Conv', [x, weight, g.parameter('bias', [outChannels])], { kernel_shape: [1, 1] });
}

/** The temporal layer of a block: `temporal_merge` tells how much of the convolution over time replaces x. */
export function temporalLayer(g: Graph, x: Value, channels: number, frames: Frames): Value {
  const overTime = g.module('temporal_projection', () => threeFrameConvolution(g, x, channels, channels, frames));
  const merge = g.parameter('temporal_merge', [1]);
  const rest = g.node('Sub', [g.floats([1]), merge]);
  return add(g, multiply(g, x, rest), multiply(g, overTime, merge));
}

/** Residual block `name` over time of x `[frames, channels, h, w]`. */
export function temporalResNetBlock(g: Graph, name: string, x: Value, channels: number, conditions: Conditions): Value {
  const { config, frames, time } = conditions;
  const hidden = channels / config.compression_ratio;
  const widths = [channels, hidden, hidden, hidden, channels];
  return g.module(name, () => {
    const residual = [1, 3, 3, 1].reduce((input, kernel, i) => {
      const [from, to] = [widths[i]!, widths[i + 1]!];
      const norm = conditionalGroupNorm(g, `temporal_resnet_blocks.${i}.0`, input, time, from, config.groups);
      const activated = silu(g, norm);
      return g.module(`temporal_resnet_blocks.${i}.2`, () =>
        kernel === 1
          ? oneFrameConvolution(g, activated, from, to)
          : threeFrameConvolution(g, activated, from, to, frames),
      );
    }, x);
    return add(g, x, residual);
  });
}

/** Attention block `name` over the frames of each position of x `[frames, channels, h, w]`. */
export function temporalAttentionBlock(
  g: Graph,
  name: string,
  x: Value,
  channels: number,
  conditions: Conditions,
): Value {
  const { config, frames, positions } = conditions;
  return g.module(name, () => {
    const norm = conditionalGroupNorm(g, 'in_norm', x, positions!, channels, config.groups);
    const tokens = {
      values: reshape(g, transpose(g, byVideo(g, norm, channels, frames), [0, 3, 1, 2]), [-1, channels]),
      channels,
      rows: -1,
      length: frames.perVideo,
    };
    const attended = attention(g, 'temporal_attention', tokens, tokens, channels, config.head_dim);
    const byPosition = reshape(g, attended, [frames.videos, -1, frames.perVideo, channels]);
    const byFrame = reshape(g, transpose(g, byPosition, [0, 2, 3, 1]), [sizesOf(g, x, 0, 4)]);
    return feedForward(g, add(g, x, byFrame), channels, conditions);
  });
}
