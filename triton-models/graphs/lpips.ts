import { type LpipsConfig, lpipsInterface } from '../../services/pipeline/networks/lpips.ts';
import type { Graph } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { type ConvolutionOptions, convolution, maxPool } from './layers.ts';
import { concat, type Layer, named, relu, type Value } from './value.ts';

/** LPIPS is a small difference of large features. */
export const lpipsAllowsHalf: HalfPrecisionRules = { features: false };

/** A step of a classifier: a convolution with its ReLU, whose result may be compared, or a pooling that halves the size. */
type Step = { convolution: ConvolutionOptions; isCompared: boolean } | { pool: number };

const alexNet: readonly Step[] = [
  { convolution: { to: 64, kernel: 11, stride: 4, padding: 2 }, isCompared: true },
  { pool: 3 },
  { convolution: { to: 192, kernel: 5, padding: 2 }, isCompared: true },
  { pool: 3 },
  { convolution: { to: 384, kernel: 3, padding: 1 }, isCompared: true },
  { convolution: { to: 256, kernel: 3, padding: 1 }, isCompared: true },
  { convolution: { to: 256, kernel: 3, padding: 1 }, isCompared: true },
];

/** Channels of the convolutions at each resolution; the last one of a resolution is compared. */
const vgg16: readonly Step[] = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
].flatMap((widths, level) => [
  ...(level === 0 ? [] : [{ pool: 2 }]),
  ...widths.map((to, i) => ({
    convolution: { to, kernel: 3, padding: 1 },
    isCompared: i === widths.length - 1,
  })),
]);

const trunks = { alex: alexNet, vgg: vgg16 } satisfies Record<LpipsConfig['net'], readonly Step[]>;

/** ImageNet's mean colour and deviation, for colours in [−1, 1]. */
const shift = [-0.03, -0.088, -0.188];
const scale = [0.458, 0.448, 0.45];
const epsilon = 1e-10;

/**
 * LPIPS v0.1, see {@link lpipsInterface}: features of both pictures, normalised at each position over the channels;
 * their squared differences, weighted by channel and averaged over the positions, layer by layer.
 */
export function lpips(g: Graph, config: LpipsConfig): void {
  const { inputs, outputs } = lpipsInterface(config);
  const { reference, candidate } = g.takes(inputs);
  const trunk = trunks[config.net];
  const [ofReference, ofCandidate] = [comparedFeatures(reference, trunk), comparedFeatures(candidate, trunk)];
  const parts = ofReference.map((features, layer) => {
    const difference = normalize(features).minus(normalize(ofCandidate[layer]!));
    const weights = g.parameter(`lin${layer}.model.1.weight`, [1, features.channels, 1, 1]);
    const weighted = difference
      .times(difference)
      .times(weights)
      .node('ReduceSum', [g.integers([1])], { keepdims: 1 });
    return weighted.node('ReduceMean', [g.integers([2, 3])], { keepdims: 0 });
  });
  const layers = concat(parts as [Value, ...Value[]], 1);
  const distance = layers.node('ReduceSum', [g.integers([1])], { keepdims: 1 });
  g.gives(outputs, { distance, layers });
}

/** Outputs of the compared layers, `[n, channels, h, w]` each. */
function comparedFeatures(picture: Value, trunk: readonly Step[]): Value[] {
  const { graph } = picture;
  const compared: Value[] = [];
  let x = picture.minus(graph.floats(shift, [1, 3, 1, 1])).over(graph.floats(scale, [1, 3, 1, 1]));
  // Index in the published nn.Sequential, where a ReLU is a module of its own.
  let module = 0;
  for (const step of trunk) {
    if ('pool' in step) {
      x = x.through(maxPool({ kernel: step.pool, stride: 2 }));
      module += 1;
    } else {
      x = x.through(named('features', convolution(String(module), step.convolution)), relu);
      module += 2;
      if (step.isCompared) {
        compared.push(x);
      }
    }
  }
  return compared;
}

/** Scales to unit length over the channels. */
const normalize: Layer = (x) => {
  const length = x
    .times(x)
    .node('ReduceSum', [x.graph.integers([1])], { keepdims: 1 })
    .node('Sqrt');
  return x.over(length.plus(epsilon));
};
