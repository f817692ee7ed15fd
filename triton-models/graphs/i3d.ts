import { type I3dConfig, i3dChannels, i3dInterface } from '../../services/pipeline/networks/i3d.ts';
import type { Graph } from './graph.ts';
import type { HalfPrecisionRules } from './half-precision-rules.ts';
import { batchNorm, convolution, maxPool } from './layers.ts';
import { concat, type Layer, named, relu } from './value.ts';

/** Fréchet distances are small differences of logits. */
export const i3dAllowsHalf: HalfPrecisionRules = { logits: false };

/** Channels of an Inception module's branches: 1×1×1; 1×1×1 and 3×3×3; the same again; pooling and 1×1×1. */
type Branches = readonly number[];

const inceptionModules: Readonly<Record<string, Branches>> = {
  '3b': [64, 96, 128, 16, 32, 32],
  '3c': [128, 128, 192, 32, 96, 64],
  '4b': [192, 96, 208, 16, 48, 64],
  '4c': [160, 112, 224, 24, 64, 64],
  '4d': [128, 128, 256, 24, 64, 64],
  '4e': [112, 144, 288, 32, 64, 64],
  '4f': [256, 160, 320, 32, 128, 128],
  '5b': [256, 160, 320, 32, 128, 128],
  '5c': [384, 192, 384, 48, 128, 128],
};

/** Inception-I3D, see {@link i3dInterface}. */
export function i3d(g: Graph, config: I3dConfig): void {
  const { inputs, outputs } = i3dInterface(config);
  const { video } = g.takes(inputs);
  const channels = (published: number) => i3dChannels(config, published);
  const mixed = (...names: string[]) =>
    names.map((name) => inceptionModule(`Mixed_${name}`, inceptionModules[name]!.map(channels)));
  const pooled = video.through(
    unit('Conv3d_1a_7x7', { to: channels(64), kernel: 7, stride: 2 }),
    samePool([1, 3, 3], [1, 2, 2]),
    unit('Conv3d_2b_1x1', { to: channels(64), kernel: 1 }),
    unit('Conv3d_2c_3x3', { to: channels(192), kernel: 3 }),
    samePool([1, 3, 3], [1, 2, 2]),
    ...mixed('3b', '3c'),
    samePool([3, 3, 3], [2, 2, 2]),
    ...mixed('4b', '4c', '4d', '4e', '4f'),
    samePool([2, 2, 2], [2, 2, 2]),
    ...mixed('5b', '5c'),
    (x) => x.node('AveragePool', [], { kernel_shape: [2, 7, 7], strides: [1, 1, 1] }),
  );
  const overTime: Layer = (x) => x.node('ReduceMean', [g.integers([2, 3, 4])], { keepdims: 0 });
  const logits = pooled.through(
    named('logits', convolution('conv3d', { to: config.num_classes, kernel: 1 })),
    overTime,
  );
  g.gives(outputs, { logits, features: pooled.through(overTime) });
}

/** Zero padding does not change a maximum, because inputs have passed a ReLU. */
const samePool = (kernel: readonly number[], stride: readonly number[]) => maxPool({ kernel, stride, padding: 'same' });

/** Convolution, batch norm, ReLU. */
function unit(name: string, { to, kernel, stride = 1 }: { to: number; kernel: number; stride?: number }): Layer {
  return named(name, (x) =>
    x.through(convolution('conv3d', { to, kernel, stride, padding: 'same', bias: false }), batchNorm('bn', 1e-3), relu),
  );
}

function inceptionModule(name: string, branches: Branches): Layer {
  const [a, b1, b2, c1, c2, d] = branches as [number, number, number, number, number, number];
  const branch = (first: string, inner: number, second: string, to: number): Layer => {
    return (x) => x.through(unit(first, { to: inner, kernel: 1 }), unit(second, { to, kernel: 3 }));
  };
  return named(name, (x) =>
    concat(
      [
        x.through(unit('b0', { to: a, kernel: 1 })),
        x.through(branch('b1a', b1, 'b1b', b2)),
        x.through(branch('b2a', c1, 'b2b', c2)),
        x.through(samePool([3, 3, 3], [1, 1, 1]), unit('b3b', { to: d, kernel: 1 })),
      ],
      1,
    ),
  );
}
