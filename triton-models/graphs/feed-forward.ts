import { conditionalGroupNorm } from './conditional-group-norm.ts';
import type { Graph, Value } from './graph.ts';
import { convolution } from './layers.ts';
import { add, silu } from './operators.ts';
import type { Conditions } from './unet-conditions.ts';

/** The second half of every attention block: norm `out_norm`, two 1×1 convolutions `feed_forward`, residual. */
export function feedForward(g: Graph, x: Value, channels: number, conditions: Conditions): Value {
  const { config, time } = conditions;
  const wide = channels * config.expansion_ratio;
  const norm = conditionalGroupNorm(g, 'out_norm', x, time, channels, config.groups);
  const layer = (name: string, input: Value, inChannels: number, outChannels: number) =>
    convolution(g, `feed_forward.${name}`, input, { inChannels, outChannels, kernel: 1, bias: false });
  return add(g, x, layer('2', silu(g, layer('0', norm, channels, wide)), wide, channels));
}
