import type { UNetSizes } from '../../services/pipeline/networks/unet.ts';
import { attention } from './attention.ts';
import { conditionalGroupNorm, type Embedding } from './conditional-group-norm.ts';
import { feedForward, residualFeedForward } from './feed-forward.ts';
import type { Frames } from './frames.ts';
import { blend } from './layers.ts';
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
export function temporalLayer(frames: Frames, mask?: Value): Layer {
  return (x) =>
    blend(x, x.through(threeFrameConvolution('temporal_projection', x.channels, frames)), 'temporal_merge', mask);
}

/** What the blocks over time share. */
export interface TemporalBlocks {
  config: UNetSizes;
  frames: Frames;
}

/** Residual block `name` over time of x `[frames, channels, h, w]`. */
export function temporalResNetBlock(name: string, embedding: Embedding, { config, frames }: TemporalBlocks): Layer {
  return named(name, (x) => {
    const { channels } = x;
    const hidden = channels / config.compression_ratio;
    const convolve = (i: number, kernel: 1 | 3, to: number): Layer => {
      const layer = `temporal_resnet_blocks.${i}`;
      const over =
        kernel === 1 ? oneFrameConvolution(`${layer}.2`, to) : threeFrameConvolution(`${layer}.2`, to, frames);
      return (input) => input.through(conditionalGroupNorm(`${layer}.0`, embedding, config.groups), silu, over);
    };
    return x.plus(
      x.through(convolve(0, 1, hidden), convolve(1, 3, hidden), convolve(2, 3, hidden), convolve(3, 1, channels)),
    );
  });
}

/** The norms of an attention block, by their names. */
interface Norms {
  before: readonly [name: string, embedding: Embedding];
  after: readonly [name: string, embedding: Embedding];
}

/** Attention block `name` over the frames of each position of x `[frames, channels, h, w]`. */
export function temporalAttentionBlock(name: string, { before, after }: Norms, blocks: TemporalBlocks): Layer {
  return named(name, (x) => {
    const norm = x.through(conditionalGroupNorm(...before, blocks.config.groups));
    const attended = attendOverTime('temporal_attention', norm, blocks).reshape(x.sizes(0, 4));
    return x.plus(attended).through(residualFeedForward(...after, blocks.config));
  });
}

/**
 * Attention block `name` over time whose results are mixed into x by `temporal_merge1` and `temporal_merge2` instead of
 * being added to it.
 */
export function mergedTemporalAttentionBlock(
  name: string,
  embedding: Embedding,
  mask: Value,
  blocks: TemporalBlocks,
): Layer {
  const { config } = blocks;
  return named(name, (x) => {
    const norm = x.through(conditionalGroupNorm('in_norm', embedding, config.groups));
    const attended = attendOverTime('attention', norm, blocks).reshape(x.sizes(0, 4));
    const merged = blend(x, attended, 'temporal_merge1', mask);
    return blend(merged, merged.through(feedForward('out_norm', embedding, config)), 'temporal_merge2', mask);
  });
}

/** The attention `name` of x `[frames, channels, h, w]` over the frames of each position → `[videos, T, channels, h·w]`. */
function attendOverTime(name: string, x: Value, { config, frames }: TemporalBlocks): Value {
  const { channels } = x;
  const values = byVideo(x, frames).transpose(0, 3, 1, 2).reshape(-1, channels);
  const tokens = { values, grid: [-1, frames.perVideo] };
  return attention(name, tokens, tokens, { channels, headSize: config.head_dim })
    .reshape(frames.videos, -1, frames.perVideo, channels)
    .transpose(0, 2, 3, 1);
}
