import { linear, normalizeGroups } from './layers.ts';
import { type Layer, named, type Value } from './value.ts';

/** The conditioning of a network's norms: one row per video or per frame. */
export interface Embedding {
  /** SiLU of the embedding `[rows, size]`, shared by all norms. */
  activated: Value;
  /** The row of each frame, integers `[frames]`; absent if every frame has its own row. */
  rowOfFrame?: Value;
}

/**
 * Group normalisation `name` of x `[frames, channels, h, w]` with scale and shift from an embedding. They are computed
 * once per row of the embedding, then broadcast to the frames.
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
