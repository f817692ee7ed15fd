import type { Graph, Value } from './graph.ts';
import { linear } from './layers.ts';
import { add, multiply, reshape, transpose } from './operators.ts';

/** Rows of tokens that attend to each other, flattened to `[rows · length, channels]`. */
export interface Tokens {
  values: Value;
  channels: number;
  /** One of the two may be −1: what remains. */
  rows: number | Value;
  length: number | Value;
}

/**
 * Multi-head attention `name` of `queries` over `keys`, row by row → `[rows · length, channels]`. `maskBias`
 * (`[rows, 1, 1, keys]`, see {@link maskToBias}) hides keys.
 */
export function attention(
  g: Graph,
  name: string,
  queries: Tokens,
  keys: Tokens,
  channels: number,
  headSize: number,
  maskBias?: Value,
): Value {
  const heads = channels / headSize;
  const project = (layer: string, tokens: Tokens, perm: readonly number[]): Value => {
    const projected = linear(g, layer, tokens.values, tokens.channels, channels, { bias: false });
    return transpose(g, reshape(g, projected, [tokens.rows, tokens.length, heads, headSize]), perm);
  };
  return g.module(name, () => {
    const scaled = multiply(g, project('to_query', queries, [0, 2, 1, 3]), g.floats([headSize ** -0.5], []));
    const scores = g.node('MatMul', [scaled, project('to_key', keys, [0, 2, 3, 1])]);
    const masked = maskBias === undefined ? scores : add(g, scores, maskBias);
    const weights = g.node('Softmax', [masked], { axis: -1 });
    const attended = g.node('MatMul', [weights, project('to_value', keys, [0, 2, 1, 3])]);
    const merged = reshape(g, transpose(g, attended, [0, 2, 1, 3]), [-1, channels]);
    return linear(g, 'output_layer', merged, channels, channels, { bias: false });
  });
}

const maxNegativeFloat32 = -3.4028234663852886e38;

/**
 * What to add to attention scores so that keys with a false mask weigh nothing: mask `[rows, n]` → `[rows, 1, 1, n]`.
 * The most negative finite number swallows any score, so a row without a single true key attends to all of them
 * evenly, as in the published networks, where minus infinity would give NaN.
 */
export function maskToBias(g: Graph, mask: Value): Value {
  const keys = g.node('Unsqueeze', [mask, g.integers([1, 2])]);
  return g.node('Where', [keys, g.floats([0], []), g.floats([maxNegativeFloat32], [])]);
}
