import type { UNetConfig } from '../../services/pipeline/networks/unet.ts';
import { attention, maskToBias, type Tokens } from './attention.ts';
import type { Embedding } from './conditional-group-norm.ts';
import { type Frames, videoOfFrame } from './frames.ts';
import { silu, type Value } from './value.ts';

/** The text that the network attends to. */
export interface Context {
  /** Embeddings `[rows, n, dim]`. */
  embeddings: Value;
  /** The same, flattened. */
  tokens: Tokens;
  rows: number | Value;
  /** Hides tokens, see {@link maskToBias}. */
  maskBias: Value;
}

/** Everything that the blocks of a U-Net share. */
export interface Conditions {
  config: UNetConfig;
  frames: Frames;
  time: Embedding;
  context: Context;
  /** Embedding of each frame's position if the network has temporal blocks; networks without it have temporal layers. */
  positions?: Embedding;
}

/** A context of embeddings `[rows, n, dim]` and mask `[rows, n]`. */
export function textContext(embeddings: Value, mask: Value, rows: number | Value): Context {
  const values = embeddings.reshape(-1, embeddings.size(2));
  return { embeddings, tokens: { values, grid: [rows, -1] }, rows, maskBias: maskToBias(mask) };
}

/** The result of `feature_pooling`, rows `[rows, E]`. */
export interface PooledContext {
  /** The mean token's attention over the context. */
  found: Value;
  /** The time embedding plus that. */
  time: Value;
}

/** `feature_pooling` of a context onto the time embedding `[rows, E]`. */
export function poolContext(time: Value, context: Context, config: UNetConfig): PooledContext {
  const { graph } = time;
  let found = time;
  const sum = graph.module('feature_pooling', () => {
    const query: Tokens = { values: meanToken(context.embeddings), grid: [-1, 1] };
    const sizes = { channels: config.time_embed_dim, headSize: config.head_dim, bias: context.maskBias };
    found = attention('attention', query, context.tokens, sizes);
    return time.plus(found);
  });
  return { found, time: sum };
}

/**
 * Mean of embeddings `[rows, n, dim]` over all tokens, including masked ones → `[rows, dim]`. Computed as a product,
 * because ONNX Runtime's ReduceMean sums in an order that depends on the number of rows: a video would depend on its
 * neighbours in the batch.
 */
function meanToken(embeddings: Value): Value {
  const { graph } = embeddings;
  const tokens = embeddings.sizes(1, 2);
  const ones = graph.floats([1], [1, 1]).node('Expand', [graph.shape([1, tokens])]);
  return ones.matmul(embeddings).over(tokens.cast('float32')).reshape(-1, embeddings.size(2));
}

/** The embedding for the norms; with `frames` if all frames of a video share a row. */
export function normEmbedding(embedding: Value, frames?: Frames): Embedding {
  const activated = silu(embedding);
  return frames === undefined ? { activated } : { activated, rowOfFrame: videoOfFrame(frames) };
}
