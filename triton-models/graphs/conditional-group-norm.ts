import { linear, normalizeGroups } from './layers.ts';
import { type Layer, named, type Value } from './value.ts';

/** What conditions the norms of a network: one row for each video, or one for each frame. */
export interface Embedding {
  /** SiLU of the embedding `[rows, size]`: every norm starts with it. */
  activated: Value;
  /** The row of each frame, integers `[frames]`; absent where frames have rows of their own. */
  rowOfFrame?: Value;
}

/**
 * Group normalisation `name` of x `[frames, channels, h, w]` whose scale and shift come from an embedding. They are
 * computed once per row of the embedding, then spread over the frames.
 */
export function conditionalGroupNorm(name: string, { activated, rowOfFrame }: Embedding, groups: number): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const perRow = activated.through(linear('context_mlp.1', 2 * channels, { bias: true }));
    const perFrame = rowOfFrame === undefined ? perRow : perRow.rows(rowOfFrame);
    const columns = perFrame.reshape(0, 2 * channels, 1, 1);
    const [scale, shift] = graph.nodeOutputs('Split', [columns], { axis: 1, num_outputs: 2 }) as [Value, Value];
    return x.through(normalizeGroups(groups, 1e-5)).times(scale.plus(1)).plus(shift);
  });
}
