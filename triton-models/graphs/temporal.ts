import { attention } from './attention.ts';
import { conditionalGroupNorm } from './conditional-group-norm.ts';
import { feedForward } from './feed-forward.ts';
import type { Frames } from './frames.ts';
import { blend } from './layers.ts';
import type { Conditions } from './unet-conditions.ts';
import { type Layer, named, silu, type Value } from './value.ts';

/** x `[frames, C, h, w]` → `[videos, T, C, h·w]`. */
export function byVideo(x: Value, frames: Frames): Value {
  return x.reshape(frames.videos, frames.perVideo, x.channels, -1);
}

/** Convolution `name` over three frames, kernel 3×1×1 and padding 1×0×0, of x `[frames, C, h, w]`. */
export function threeFrameConvolution(name: string, to: number, frames: Frames): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    // Uses time and position as the two axes of a 2D convolution, whose kernels are far faster than those for 3D.
    const timeAsHeight = byVideo(x, frames).transpose(0, 2, 1, 3);
    const weight = graph.parameter('weight', [to, channels, 3, 1, 1], [to, channels, 3, 1]);
    const convolved = timeAsHeight.node('Conv', [weight, graph.parameter('bias', [to])], {
      kernel_shape: [3, 1],
      pads: [1, 0, 1, 0],
    });
    return convolved.transpose(0, 2, 1, 3).reshape(-1, to, x.sizes(2, 4));
  });
}

/** Convolution `name` over one frame, kernel 1×1×1, of x `[frames, C, h, w]`. */
function oneFrameConvolution(name: string, to: number): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const weight = graph.parameter('weight', [to, channels, 1, 1, 1], [to, channels, 1, 1]);
    return x.node('Conv', [weight, graph.parameter('bias', [to])], { kernel_shape: [1, 1] });
  });
}

/** The temporal layer of a block: a convolution over time, mixed into x by `temporal_merge`. */
export function temporalLayer(frames: Frames): Layer {
  return (x) => blend(x, x.through(threeFrameConvolution('temporal_projection', x.channels, frames)), 'temporal_merge');
}

/** Residual block `name` over time of x `[frames, channels, h, w]`. */
export function temporalResNetBlock(name: string, { config, frames, time }: Conditions): Layer {
  return named(name, (x) => {
    const { channels } = x;
    const hidden = channels / config.compression_ratio;
    const convolve = (i: number, kernel: 1 | 3, to: number): Layer => {
      const layer = `temporal_resnet_blocks.${i}`;
      const over =
        kernel === 1 ? oneFrameConvolution(`${layer}.2`, to) : threeFrameConvolution(`${layer}.2`, to, frames);
      return (input) => input.through(conditionalGroupNorm(`${layer}.0`, time, config.groups), silu, over);
    };
    return x.plus(
      x.through(convolve(0, 1, hidden), convolve(1, 3, hidden), convolve(2, 3, hidden), convolve(3, 1, channels)),
    );
  });
}

/** Attention block `name` over the frames of each position of x `[frames, channels, h, w]`. */
export function temporalAttentionBlock(name: string, conditions: Conditions): Layer {
  const { config, frames, positions } = conditions;
  return named(name, (x) => {
    const { channels } = x;
    const norm = x.through(conditionalGroupNorm('in_norm', positions!, config.groups));
    const values = byVideo(norm, frames).transpose(0, 3, 1, 2).reshape(-1, channels);
    const tokens = { values, grid: [-1, frames.perVideo] };
    const attended = attention('temporal_attention', tokens, tokens, { channels, headSize: config.head_dim })
      .reshape(frames.videos, -1, frames.perVideo, channels)
      .transpose(0, 2, 3, 1)
      .reshape(x.sizes(0, 4));
    return x.plus(attended).through(feedForward(conditions));
  });
}
