import { linear } from './layers.ts';
import type { Sizes, Value } from './value.ts';

/**
 * Attention weights of each query: softmax(queries · keys + bias).
 *
 * @param queries `[…, queries, size]`, scaled
 * @param keys `[…, size, keys]`
 */
export function attentionWeights(queries: Value, keys: Value, bias?: Value): Value {
  const scores = queries.matmul(keys);
  return (bias === undefined ? scores : scores.plus(bias)).softmax();
}

/** Rows of tokens that attend to each other, flattened to `[rows · length, channels]`. */
export interface Tokens {
  values: Value;
  /** Rows and length; one of them may be −1 (inferred). */
  grid: Sizes;
}

export interface AttentionOptions {
  /** Total channels of queries, keys and values over all heads. */
  channels: number;
  /** Channels of the result. Default: the same. */
  to?: number;
  headSize: number;
  /** Names of the layers for queries, keys, values and the output. */
  layers: readonly [query: string, key: string, value: string, output: string];
  /** Factor applied to the queries. Default: none. */
  scale?: number;
  /** Whether the layers have a bias; default false. */
  hasLayerBias?: boolean;
  /** Added to scores `[rows, heads, queries, keys]`, see {@link maskToBias}. */
  bias?: Value;
}

/** Multi-head attention of `queries` over `keys`, row by row → `[rows · length, to]`. */
export function multiHeadAttention(queries: Tokens, keys: Tokens, options: AttentionOptions): Value {
  const { channels, to = channels, headSize, layers, hasLayerBias = false, scale, bias } = options;
  const [query, key, value, output] = layers;
  const project = (layer: string, { values, grid }: Tokens, ...perm: readonly number[]): Value =>
    values
      .through(linear(layer, channels, { bias: hasLayerBias }))
      .reshape(...grid, channels / headSize, headSize)
      .transpose(...perm);
  const asked = project(query, queries, 0, 2, 1, 3);
  const scaled = scale === undefined ? asked : asked.times(scale);
  const weights = attentionWeights(scaled, project(key, keys, 0, 2, 3, 1), bias);
  return weights
    .matmul(project(value, keys, 0, 2, 1, 3))
    .transpose(0, 2, 1, 3)
    .reshape(-1, channels)
    .through(linear(output, to, { bias: hasLayerBias }));
}

/** The U-Nets' multi-head attention `name`. */
export function attention(
  name: string,
  queries: Tokens,
  keys: Tokens,
  { bias, ...sizes }: Pick<AttentionOptions, 'channels' | 'headSize' | 'bias'>,
): Value {
  return queries.values.graph.module(name, () =>
    multiHeadAttention(queries, keys, {
      ...sizes,
      layers: ['to_query', 'to_key', 'to_value', 'output_layer'],
      scale: sizes.headSize ** -0.5,
      ...(bias && { bias }),
    }),
  );
}

/** Score of a key that a query must not attend to: the most negative float32. */
export const maskedScore = -3.4028234663852886e38;

/**
 * Bias for attention scores that hides keys with a false mask: mask `[rows, n]` → `[rows, 1, 1, n]`. The most negative
 * finite number absorbs any score, so a row without a true key attends to all keys evenly, as in the published
 * networks; minus infinity would give NaN.
 */
export function maskToBias(mask: Value): Value {
  const { graph } = mask;
  return mask.unsqueeze(1, 2).node('Where', [graph.floats([0], []), graph.floats([maskedScore], [])]);
}
