import { concat, type Layer, named, silu, type Value } from './value.ts';

/** Linear layer `name` over rows `[rows, inputs]` → `[rows, to]`. */
export function linear(name: string, to: number, options: { bias: boolean }): Layer {
  return named(name, (x) => {
    const { graph } = x;
    // Gemm takes the weight as stored, outputs first; MatMul would need a transposed copy.
    const operands = [graph.parameter('weight', [to, x.size(-1)])];
    if (options.bias) {
      operands.push(graph.parameter('bias', [to]));
    }
    return x.node('Gemm', operands, { transB: 1 });
  });
}

export interface ConvolutionOptions {
  /** Output channels. */
  to: number;
  /** For all axes, or one per axis. */
  kernel: number | readonly number[];
  /** Default 1. */
  stride?: number;
  /**
   * On all sides, or all beginnings, then all ends; `same`: as many as the stride needs, the larger half at the end.
   * Default 0.
   */
  padding?: number | readonly number[] | 'same';
  /** Default true. */
  bias?: boolean;
}

/** Convolution `name` of x `[n, channels, …]` over all axes after the channels. */
export function convolution(name: string, options: ConvolutionOptions): Layer {
  const { to, stride = 1, padding = 0, bias = true } = options;
  return named(name, (x) => {
    const axes = x.shape.length - 2;
    const kernel = perAxis(options.kernel, axes);
    const operands = [x.graph.parameter('weight', [to, x.channels, ...kernel])];
    if (bias) {
      operands.push(x.graph.parameter('bias', [to]));
    }
    return x.node('Conv', operands, {
      kernel_shape: kernel,
      strides: repeated(stride, axes),
      ...(padding === 'same' ? samePadding : { pads: perAxis(padding, 2 * axes) }),
    });
  });
}

const repeated = (value: number, times: number) => new Array<number>(times).fill(value);

const perAxis = (given: number | readonly number[], axes: number) =>
  typeof given === 'number' ? repeated(given, axes) : given;

const samePadding = { auto_pad: 'SAME_UPPER' };

/** A 3×3 convolution `name` that keeps height and width. */
export const convolution3x3 = (name: string, to: number) => convolution(name, { to, kernel: 3, padding: 1 });

/** A 1×1 convolution `name`. */
export const convolution1x1 = (name: string, to: number, options: { bias?: boolean } = {}) =>
  convolution(name, { to, kernel: 1, ...options });

/** Transposed convolution `name` that doubles height and width: kernel 2×2, stride 2. */
export function doublingConvolution(name: string): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const operands = [graph.parameter('weight', [channels, channels, 2, 2]), graph.parameter('bias', [channels])];
    return x.node('ConvTranspose', operands, { kernel_shape: [2, 2], strides: [2, 2] });
  });
}

/** Convolution `name` that halves height and width: kernel 2×2, stride 2. */
export function halvingConvolution(name: string): Layer {
  return (x) => convolution(name, { to: x.channels, kernel: 2, stride: 2 })(x);
}

/** Group normalisation without scale and shift of x `[n, channels, h, w]`. */
export function normalizeGroups(groups: number, epsilon: number): Layer {
  return (x) => {
    // With a group's channels on the height axis, this is instance normalisation. On ONNX Runtime it is as fast as any other
    // portable form (LayerNormalization, reductions), and it subtracts the mean before squaring.
    const grouped = x.reshape(0, groups, -1, 0);
    const [ones, zeros] = [x.graph.floats(repeated(1, groups)), x.graph.floats(repeated(0, groups))];
    const normalized = grouped.node('InstanceNormalization', [ones, zeros], { epsilon: { float: epsilon } });
    return normalized.reshape(0, x.channels, -1, 0);
  };
}

/** Group normalisation `name` with a learned scale and shift per channel, of x `[n, channels, h, w]`. */
export function groupNorm(name: string, groups: number, epsilon: number): Layer {
  return named(name, (x) => {
    const { graph, channels } = x;
    const scale = graph.parameter('weight', [channels], [channels, 1, 1]);
    const shift = graph.parameter('bias', [channels], [channels, 1, 1]);
    return x.through(normalizeGroups(groups, epsilon)).times(scale).plus(shift);
  });
}

/** Layer normalisation `name` over the last axis. */
export function layerNorm(name: string): Layer {
  return named(name, (x) => {
    const size = x.size(-1);
    const operands = [x.graph.parameter('weight', [size]), x.graph.parameter('bias', [size])];
    return x.node('LayerNormalization', operands, { axis: -1, epsilon: { float: 1e-5 } });
  });
}

/** Batch normalisation `name` of x `[n, channels, …]` by the statistics that training kept. */
export function batchNorm(name: string, epsilon: number): Layer {
  return named(name, (x) => {
    const operands = ['weight', 'bias', 'running_mean', 'running_var'].map((each) =>
      x.graph.parameter(each, [x.channels]),
    );
    return x.node('BatchNormalization', operands, { epsilon: { float: epsilon } });
  });
}

export interface PoolingOptions {
  /** On every axis; or of each axis. */
  kernel: number | readonly number[];
  stride: number | readonly number[];
  /** Default: none. */
  padding?: 'same';
}

/** The largest values under a kernel that moves over all the axes after the channels of x `[n, channels, …]`. */
export function maxPool({ kernel, stride, padding }: PoolingOptions): Layer {
  return (x) => {
    const axes = x.shape.length - 2;
    return x.node('MaxPool', [], {
      kernel_shape: perAxis(kernel, axes),
      strides: perAxis(stride, axes),
      ...(padding === 'same' && samePadding),
    });
  };
}

/** Sinusoidal embedding of x `[rows]` → `[rows, size]`: all sines, then all cosines. */
function sinusoidalEmbedding(size: number): Layer {
  return (x) => {
    const half = size / 2;
    const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-i * Math.log(10000)) / (half - 1)));
    const angles = x.reshape(-1, 1).times(x.graph.floats(frequencies, [1, half]));
    return concat([angles.node('Sin'), angles.node('Cos')], 1);
  };
}

/** Embedding `name` of a number: x `[rows]` → `[rows, to]`. Its sinusoid has `size` elements. */
export function numberEmbedding(name: string, size: number, to: number): Layer {
  return named(name, (x) =>
    x.through(
      named('0', sinusoidalEmbedding(size)),
      linear('1', to, { bias: true }),
      silu,
      linear('3', to, { bias: true }),
    ),
  );
}

/** The two mixing weights given by a learned scalar, `parameter` of the current module, times `mask` if there is one. */
export function mergeShares({ graph }: Value, parameter: string, mask?: Value): { share: Value; rest: Value } {
  const learned = graph.parameter(parameter, [1]);
  const share = mask === undefined ? learned : mask.times(learned);
  return { share, rest: graph.floats([1]).minus(share) };
}

/**
 * (1 − m)·x + m·other, with m the scalar `parameter` of the current module, times `mask` if there is one: `[n, 1, 1, 1]`
 * for x `[n, channels, h, w]`.
 */
export function blend(x: Value, other: Value, parameter: string, mask?: Value): Value {
  const { share, rest } = mergeShares(x, parameter, mask);
  return x.times(rest).plus(other.times(share));
}
