import { type C3dConfig, c3dChannels, c3dFrames, c3dInterface, c3dSide } from '../../services/pipeline/networks/c3d.ts';
import type { Graph } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { convolution, linear, maxPool } from './layers.ts';
import { type Layer, relu } from './value.ts';

/** Scores are small differences of probabilities. */
export const c3dAllowsHalf: HalfPrecisionRules = { mean: false, fc8: false };

/** Half the range of a byte: its networks read colours of 0 to 255. */
const half = 128;

/**
 * C3D, see {@link c3dInterface}, with what TGANv2's classifier does before it: colours in the order blue, green, red, less the
 * mean video of its training, the parameter `mean`.
 */
export function c3d(g: Graph, config: C3dConfig): void {
  const { inputs, outputs } = c3dInterface(config);
  const { video } = g.takes(inputs);
  const block = (...names: string[]) => names.map((name) => unit(name, c3dChannels(config, channels[name[4]!]!)));
  const fc =
    (name: string): Layer =>
    (x) =>
      x.through(linear(name, c3dChannels(config, 4096), { bias: true }), relu);
  const features = video
    .node('Gather', [g.integers([2, 1, 0])], { axis: 1 })
    .times(half)
    .plus(half)
    .minus(g.parameter('mean', [3, c3dFrames, c3dSide, c3dSide]))
    .through(
      ...block('conv1a'),
      pool([1, 2, 2]),
      ...block('conv2a'),
      pool([2, 2, 2]),
      ...block('conv3a', 'conv3b'),
      pool([2, 2, 2]),
      ...block('conv4a', 'conv4b'),
      pool([2, 2, 2]),
      ...block('conv5a', 'conv5b'),
      pool([2, 2, 2]),
      (x) => x.reshape(0, -1),
      fc('fc6'),
      fc('fc7'),
    );
  g.gives(outputs, { logits: features.through(linear('fc8', config.n_outputs, { bias: true })), features });
}

/** Published channels of each group of convolutions. */
const channels: Readonly<Record<string, number>> = { 1: 64, 2: 128, 3: 256, 4: 512, 5: 512 };

/** The last windows reach beyond odd sizes; padding does not change a maximum, because inputs have passed a ReLU. */
const pool = (size: readonly number[]) => maxPool({ kernel: size, stride: size, padding: 'same' });

function unit(name: string, to: number): Layer {
  return (x) => x.through(convolution(name, { to, kernel: 3, padding: 1 }), relu);
}
