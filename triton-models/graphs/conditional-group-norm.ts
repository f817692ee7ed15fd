import type { Graph, Value } from './graph.ts';
import { linear, normalizeGroups } from './layers.ts';
import { add, multiply, reshape } from './operators.ts';

/** What conditions the norms of a network: one row for each video, or one for each frame. */
export interface Embedding {
  /** SiLU of the embedding `[rows, size]`: every norm starts with it. */
  activated: Value;
  size: number;
  /** The row of each frame, integers `[frames]`; absent where frames have rows of their own. */
  rowOfFrame?: Value;
}

/**
 * Group normalisation `name` of x `[frames, channels, h, w]` whose scale and shift come from an embedding. They are
 * computed once per row of the embedding, then spread over the frames.
 */
export function conditionalGroupNorm(
  g: Graph,
  name: string,
  x: Value,
  embedding: Embedding,
  channels: number,
  groups: number,
): Value {
  return g.module(name, () => {
    const perRow = linear(g, 'context_mlp.1', embedding.activated, embedding.size, 2 * channels, { bias: true });
    const { rowOfFrame } = embedding;
    const perFrame = rowOfFrame === undefined ? perRow : g.node('Gather', [perRow, rowOfFrame], { axis: 0 });
    const columns = reshape(g, perFrame, [0, 2 * channels, 1, 1]);
    const [scale, shift] = g.nodeOutputs('Split', [columns], { axis: 1, num_outputs: 2 }, 2) as [Value, Value];
    const normalized = normalizeGroups(g, x, channels, groups, 1e-5);
    return add(g, multiply(g, normalized, add(g, scale, g.floats([1], []))), shift);
  });
}
