import type { UNetConfig } from '../../services/pipeline/networks/unet.ts';
import { attention, maskToBias, type Tokens } from './attention.ts';
import type { Embedding } from './conditional-group-norm.ts';
import type { Graph, Value } from './graph.ts';
import { add, range, reshape, shapeTensor, silu, sizesOf, toFloat } from './operators.ts';

/** How frames lie on the first axis of activations: video after video. */
export interface Frames {
  /** Number of videos, an integer tensor of 1 element. */
  videos: Value;
  /** Frames of a video. */
  perVideo: number | Value;
  /** videos · perVideo, an integer tensor of 1 element. */
  total: Value;
}

/** The text that the network attends to. */
export interface Context {
  tokens: Tokens;
  /** Hides tokens, see {@link maskToBias}. */
  maskBias: Value;
}

/** Everything that the blocks of a U-Net share. */
export interface Conditions {
  config: UNetConfig;
  frames: Frames;
  time: Embedding;
  context: Context;
  /** Embedding of each frame's position where the network has temporal blocks; without, it has temporal layers. */
  positions?: Embedding;
}

/** A context of embeddings `[rows, n, dim]` and mask `[rows, n]`. `rows` is as in {@link Tokens}. */
export function textContext(g: Graph, embeddings: Value, mask: Value, rows: number | Value, dim: number): Context {
  const values = reshape(g, embeddings, [-1, dim]);
  return { tokens: { values, channels: dim, rows, length: -1 }, maskBias: maskToBias(g, mask) };
}

/** What `feature_pooling` gives, rows `[rows, E]`. */
export interface PooledContext {
  /** What the mean token finds in the context. */
  found: Value;
  /** The time embedding plus that. */
  time: Value;
}

/** `feature_pooling` of a context onto the time embedding `[rows, E]`. */
export function poolContext(
  g: Graph,
  config: UNetConfig,
  time: Value,
  embeddings: Value,
  context: Context,
): PooledContext {
  let found: Value = time;
  const sum = g.module('feature_pooling', () => {
    const values = meanToken(g, embeddings, config.context_dim);
    const query: Tokens = { values, channels: config.context_dim, rows: -1, length: 1 };
    const size = config.time_embed_dim;
    found = attention(g, 'attention', query, context.tokens, size, config.head_dim, context.maskBias);
    return add(g, time, found);
  });
  return { found, time: sum };
}

/**
 * Mean of embeddings `[rows, n, dim]` over all tokens, the masked ones too → `[rows, dim]`. As a product, because ONNX
 * Runtime's ReduceMean adds in an order that depends on the number of rows: a video would depend on its neighbours in
 * the batch.
 */
function meanToken(g: Graph, embeddings: Value, dim: number): Value {
  const tokens = sizesOf(g, embeddings, 1, 2);
  const ones = g.node('Expand', [g.floats([1], [1, 1]), shapeTensor(g, [1, tokens])]);
  const sum = g.node('MatMul', [ones, embeddings]);
  return reshape(g, g.node('Div', [sum, toFloat(g, tokens)]), [-1, dim]);
}

/** The embedding as norms take it; `frames` where one row serves all frames of a video. */
export function normEmbedding(g: Graph, embedding: Value, size: number, frames?: Frames): Embedding {
  const activated = silu(g, embedding);
  return frames === undefined ? { activated, size } : { activated, size, rowOfFrame: videoOfFrame(g, frames) };
}

/** Rows `[videos, size]` repeated for the frames of each video; unchanged where frames have rows of their own. */
export function byFrame(g: Graph, rows: Value, frames?: Frames): Value {
  return frames === undefined ? rows : g.node('Gather', [rows, videoOfFrame(g, frames)], { axis: 0 });
}

/** The video that each frame belongs to: 0 … 0 1 … 1 2 …, integers `[frames]`. */
function videoOfFrame(g: Graph, frames: Frames): Value {
  const perVideo = typeof frames.perVideo === 'number' ? g.integers([frames.perVideo]) : frames.perVideo;
  return g.once('video of frame', () => g.node('Div', [range(g, frames.total), perVideo]));
}
