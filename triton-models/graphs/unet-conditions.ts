import type { UNetSizes } from '../../services/pipeline/networks/unet.ts';
import { attention, maskToBias, type Tokens } from './attention.ts';
import type { Embedding } from './conditional-group-norm.ts';
import { type Frames, videoOfFrame } from './frames.ts';
import { type GraphBuilder, type Layer, silu, type Value } from './value.ts';

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
  config: UNetSizes & { spatial_position_embedding?: [number, number] | null };
  frames: Frames;
  time: Embedding;
  context: Context;
  temporal: TemporalParts;
}

/** The parts of a U-Net in which the frames of a video see each other. A network has some of them. */
export interface TemporalParts {
  /** After the convolution of every block. */
  layer?: Layer;
  /** The residual block of this name, after every residual block. */
  resNet?: (name: string) => Layer;
  /** Inside every self-attention block, before its feed-forward part. */
  attentionLayer?: Layer;
  /** The attention of this name, where there is self-attention. */
  attention?: (name: string) => Layer;
  /** Whether attention comes before self-attention on the way up (the default), or after it as on the way down. */
  attentionIsMirrored?: boolean;
}

/** A context of embeddings `[rows, n, dim]` and mask `[rows, n]`. */
export function textContext(embeddings: Value, mask: Value, rows: number | Value): Context {
  const values = embeddings.reshape(-1, embeddings.size(2));
  return { embeddings, tokens: { values, grid: [rows, -1] }, rows, maskBias: maskToBias(mask) };
}

interface OptionalText {
  /** `[videos, tokens, dim]` */
  given: Value;
  /** `[videos, tokens]` */
  givenMask: Value;
  /** `[videos, 1]`: which videos have no text. */
  unconditional: Value;
}

/** The context of each video, with the null embedding in the place of a text where there is none. */
export function optionalContext(
  g: GraphBuilder,
  { given, givenMask, unconditional }: OptionalText,
  rows: number | Value,
): Context {
  const empty = nullContext(g, given.size(2), given.sizes(1, 2));
  const embeddings = unconditional.reshape(-1, 1, 1).node('Where', [empty.embeddings, given]);
  // ONNX Runtime has no Where over booleans.
  const conditional = unconditional.node('Not');
  const mask = unconditional.node('And', [empty.mask]).node('Or', [conditional.node('And', [givenMask])]);
  return textContext(embeddings, mask, rows);
}

/** The context for no text: the null embedding as the only unmasked token, followed by zeros, `tokens` in all. */
function nullContext(g: GraphBuilder, dim: number, tokens: Value): { embeddings: Value; mask: Value } {
  const isFirst = tokens.range().node('Equal', [g.integers([0], [])]);
  const firstAsColumn = isFirst.reshape(-1, 1).cast('float32');
  return { embeddings: firstAsColumn.times(g.parameter('null_embedding', [dim])), mask: isFirst };
}

/** The result of `feature_pooling`, rows `[rows, E]`. */
export interface PooledContext {
  /** The mean token's attention over the context. */
  found: Value;
  /** The time embedding plus that. */
  time: Value;
}

/** `feature_pooling` of a context onto the time embedding `[rows, E]`. */
export function poolContext(time: Value, context: Context, config: UNetSizes): PooledContext {
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
