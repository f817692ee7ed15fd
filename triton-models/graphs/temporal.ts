import { attentionWindow, type TemporalConditioning, type UNetSizes } from '../../services/pipeline/networks/unet.ts';
import { attention } from './attention.ts';
import { conditionalGroupNorm, type Embedding } from './conditional-group-norm.ts';
import { feedForward, residualFeedForward } from './feed-forward.ts';
import type { Frames } from './frames.ts';
import { blend } from './layers.ts';
import { concat, type Layer, named, silu, type Value } from './value.ts';

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

/**
 * Convolution `name` over three frames and their neighbourhood, kernel 3×3×3, padding 1, of x `[frames, C, h, w]`, with a
 * fixed number of frames. It is a 2D convolution with every frame's two neighbours as further channels: the result of ONNX
 * Runtime's 3D convolutions depends on the number of threads.
 */
function neighbourhoodConvolution(name: string, to: number, frames: Frames): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const count = frames.perVideo as number;
    const volume = byVideo(x, frames);
    const shapeOfEnd = graph.shape([frames.videos, 1, channels, volume.sizes(3, 4)]);
    const end = graph.floats([0], [1, 1, 1, 1]).node('Expand', [shapeOfEnd]);
    const padded = concat([end, volume, end], 1);
    const neighbours = Array.from({ length: count }, (_, frame) => [frame, frame + 1, frame + 2]).flat();
    const stacked = padded
      .node('Gather', [graph.integers(neighbours, [count, 3])], { axis: 1 })
      .transpose(0, 1, 3, 2, 4)
      .reshape(-1, 3 * channels, x.sizes(2, 4));
    const weight = graph.parameter('weight', [to, channels, 3, 3, 3], [to, 3 * channels, 3, 3]);
    return stacked.node('Conv', [weight, graph.parameter('bias', [to])], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
    });
  });
}

/** The temporal layer of a block: a convolution over time, mixed into x by `temporal_merge`. */
export function temporalLayer(frames: Frames, mask?: Value): Layer {
  return (x) =>
    blend(x, x.through(threeFrameConvolution('temporal_projection', x.channels, frames)), 'temporal_merge', mask);
}

/** What the blocks over time share. */
export interface TemporalBlocks {
  config: UNetSizes & { temporal_conditioning?: TemporalConditioning | undefined };
  frames: Frames;
}

/**
 * Residual block `name` over time of x `[frames, channels, h, w]`, between two linear projections that lower and restore the
 * number of channels: two convolutions over three frames, or one over their neighbourhood as well.
 */
export function temporalResNetBlock(name: string, embedding: Embedding, { config, frames }: TemporalBlocks): Layer {
  return named(name, (x) => {
    const { channels } = x;
    const hidden = channels / config.compression_ratio;
    const isCube = config.temporal_conditioning === 'Conv3dAttn1dBlocks';
    const overTime = isCube ? [neighbourhoodConvolution] : [threeFrameConvolution, threeFrameConvolution];
    const convolutions = [
      (layer: string) => oneFrameConvolution(layer, hidden),
      ...overTime.map((convolve) => (layer: string) => convolve(layer, hidden, frames)),
      (layer: string) => oneFrameConvolution(layer, channels),
    ];
    const layers = convolutions.map((convolve, i): Layer => {
      const layer = `temporal_resnet_blocks.${i}`;
      return (input) =>
        input.through(conditionalGroupNorm(`${layer}.0`, embedding, config.groups), silu, convolve(`${layer}.2`));
    });
    return x.plus(x.through(...layers));
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

/** The temporal layer of a self-attention block: attention over the frames, mixed into x by `temporal_merge`. */
export function temporalAttentionLayer(position: Embedding, blocks: TemporalBlocks): Layer {
  return (x) => {
    const norm = x.through(conditionalGroupNorm('temporal_norm', position, blocks.config.groups));
    const attended = attendOverTime('temporal_attention', norm, blocks).reshape(x.sizes(0, 4));
    return blend(x, attended, 'temporal_merge');
  };
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

/**
 * The attention `name` of x `[frames, channels, h, w]` over the frames of each position, or of each window of positions. The
 * result has the same elements in order, in another shape.
 */
function attendOverTime(name: string, x: Value, blocks: TemporalBlocks): Value {
  const hasWindows = blocks.config.temporal_conditioning === 'Conv1dAttn3dBlocks';
  return hasWindows ? attendInWindows(name, x, blocks) : attendAtPositions(name, x, blocks);
}

/** The same over the frames of each position → `[videos, T, channels, h·w]`. */
function attendAtPositions(name: string, x: Value, { config, frames }: TemporalBlocks): Value {
  const { channels } = x;
  const values = byVideo(x, frames).transpose(0, 3, 1, 2).reshape(-1, channels);
  const tokens = { values, grid: [-1, frames.perVideo] };
  return attention(name, tokens, tokens, { channels, headSize: config.head_dim })
    .reshape(frames.videos, -1, frames.perVideo, channels)
    .transpose(0, 2, 3, 1);
}

/** The same over the frames of each window of 2×2 positions → `[videos, T, channels, h/2, 2, w/2, 2]`. */
function attendInWindows(name: string, x: Value, { config, frames }: TemporalBlocks): Value {
  const { graph, channels } = x;
  const edge = attentionWindow;
  const across = (axis: number) => x.sizes(axis, axis + 1).over(graph.integers([edge]));
  const [rows, columns] = [across(2), across(3)];
  const perWindow = graph.integers([edge * edge]).times(frames.perVideo);
  const values = x
    .reshape(frames.videos, frames.perVideo, channels, rows, edge, columns, edge)
    .transpose(0, 3, 5, 1, 4, 6, 2)
    .reshape(-1, channels);
  const tokens = { values, grid: [-1, perWindow] };
  return attention(name, tokens, tokens, { channels, headSize: config.head_dim })
    .reshape(frames.videos, rows, columns, frames.perVideo, edge, edge, channels)
    .transpose(0, 3, 6, 1, 4, 2, 5);
}
