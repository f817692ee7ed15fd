import type { VideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { Graph, Value } from './graph.ts';
import { convolution, linear } from './layers.ts';
import { type Convolve, type Norm, plainNorm, square } from './movq-blocks.ts';
import { add, multiply, reshape, silu, sizesOf, transpose } from './operators.ts';
import { byVideo, threeFrameConvolution } from './temporal.ts';
import type { Frames } from './unet-conditions.ts';

/** Windows of frames that MoVQ's temporal decoder sees together. */
export interface Windows {
  config: VideoMovqConfig;
  /** A window stands where a U-Net has a video. */
  frames: Frames;
  /** How each frame's brightness was changed, `[frames, 1]`: known in training only, for one window at a time. */
  augmentation?: Value;
}

/**
 * The convolutions of residual block `name`: after each one, `temporal_projection` looks over time as well, and
 * `temporal_merge` tells how much of what it sees replaces the frame's own.
 */
export function convolveWindows(name: string, windows: Windows): Convolve {
  const { config, frames } = windows;
  const isMiddle = name.startsWith('mid.');
  const isTemporal = config.temporal && (config.temporal_mid_blocks || !isMiddle);
  const hasFlicker = isTemporal && config.flicker_augmentation && name === 'mid.block_1';
  return (g, index, x, from, to) => {
    // The published code can't run its own 3D blocks: it hands them single frames. Here they see the window.
    const own = config.build_3D_decoder
      ? g.module(`conv${index}`, () => cubeConvolution(g, x, from, to, frames))
      : convolution(g, `conv${index}`, x, square(from, to));
    if (!isTemporal) {
      return own;
    }
    const seen = hasFlicker ? addFlicker(g, own, to, windows) : own;
    const overTime = g.module(`temporal_projection${index}`, () =>
      config.temporal_kernel_size[1] === 1
        ? threeFrameConvolution(g, seen, to, to, frames)
        : cubeConvolution(g, seen, to, to, frames),
    );
    const merge = g.parameter(`temporal_merge${index}`, [1]);
    const rest = g.node('Sub', [g.floats([1]), merge]);
    return add(g, multiply(g, own, rest), multiply(g, overTime, merge));
  };
}

function addFlicker(g: Graph, x: Value, channels: number, { augmentation }: Windows): Value {
  if (augmentation === undefined) {
    g.idleParameter('temporal_flicker_proj.weight', [channels, 1]);
    g.idleParameter('temporal_flicker_proj.bias', [channels]);
    return x;
  }
  const projected = linear(g, 'temporal_flicker_proj', augmentation, 1, channels, { bias: true });
  return add(g, x, reshape(g, projected, [0, channels, 1, 1]));
}

/** Convolution over three frames and their neighbourhood, kernel 3×3×3, padding 1, of x `[frames, inChannels, h, w]`. */
function cubeConvolution(g: Graph, x: Value, inChannels: number, outChannels: number, frames: Frames): Value {
  const size = sizesOf(g, x, 2, 4);
  const volume = reshape(g, x, [frames.videos, frames.perVideo, inChannels, size]);
  const weight = g.parameter('weight', [outChannels, inChannels, 3, 3, 3]);
  const convolved = g.node(
    'Conv',
    [transpose(g, volume, [0, 2, 1, 3, 4]), weight, g.parameter('bias', [outChannels])],
    {
      kernel_shape: [3, 3, 3],
      pads: [1, 1, 1, 1, 1, 1],
    },
  );
  return reshape(g, transpose(g, convolved, [0, 2, 1, 3, 4]), [-1, outChannels, size]);
}

/** Residual block `name` over time, where the decoder has them: x `[frames, channels, h, w]`. */
export function optionalTemporalResNet(
  g: Graph,
  name: string,
  x: Value,
  channels: number,
  norm: Norm,
  windows: Windows | undefined,
): Value {
  if (!windows?.config.temporal_blocks) {
    return x;
  }
  const convolve = (layer: string, input: Value) =>
    g.module(layer, () => threeFrameConvolution(g, input, channels, channels, windows.frames));
  return g.module(name, () => {
    const first = convolve('conv1', silu(g, norm(g, 'norm1', x, channels)));
    return add(g, x, convolve('conv2', silu(g, norm(g, 'norm2', first, channels))));
  });
}

/**
 * Single-head attention `name` over the frames of each position, where the decoder has it: x `[frames, channels, h, w]`.
 * The published code gives its norm no latents: it is a plain one, and what would take them is in the checkpoint in vain.
 */
export function optionalTemporalAttention(
  g: Graph,
  name: string,
  x: Value,
  channels: number,
  windows: Windows | undefined,
): Value {
  if (!windows?.config.temporal_attention_block) {
    return x;
  }
  const { frames, config } = windows;
  return g.module(name, () => {
    const shape = { inChannels: channels, outChannels: channels, kernel: 1 };
    const normalized = plainNorm(config.groups)(g, 'norm', x, channels);
    for (const layer of ['norm.conv_y', 'norm.conv_b']) {
      g.idleParameter(`${layer}.weight`, [channels, config.z_channels, 1, 1]);
      g.idleParameter(`${layer}.bias`, [channels]);
    }
    const project = (layer: string, perm: readonly number[]) =>
      transpose(g, byVideo(g, convolution(g, layer, normalized, shape), channels, frames), perm);
    const queries = multiply(g, project('q', [0, 3, 1, 2]), g.floats([channels ** -0.5], []));
    const weights = g.node('Softmax', [g.node('MatMul', [queries, project('k', [0, 3, 2, 1])])], { axis: -1 });
    const attended = g.node('MatMul', [weights, project('v', [0, 3, 1, 2])]);
    const byFrame = reshape(g, transpose(g, attended, [0, 2, 3, 1]), [sizesOf(g, x, 0, 4)]);
    return add(g, x, convolution(g, 'proj_out', byFrame, shape));
  });
}
