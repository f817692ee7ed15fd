import type { Graph, Value } from './graph.ts';
import { add, concat, multiply, reshape, silu } from './operators.ts';

/** Linear layer `name` over the rows of x `[rows, inputs]` → `[rows, outputs]`. */
export function linear(
  g: Graph,
  name: string,
  x: Value,
  inputs: number,
  outputs: number,
  options: { bias: boolean },
): Value {
  return g.module(name, () => {
    // Gemm takes the weight as it is stored, outputs first; MatMul would want a transposed copy.
    const operands = [x, g.parameter('weight', [outputs, inputs])];
    if (options.bias) {
      operands.push(g.parameter('bias', [outputs]));
    }
    return g.node('Gemm', operands, { transB: 1 });
  });
}

export interface ConvolutionOptions {
  inChannels: number;
  outChannels: number;
  kernel: number;
  /** Default 1. */
  stride?: number;
  /** On all four sides, or top, left, bottom, right; default 0. */
  padding?: number | readonly [number, number, number, number];
  /** Default true. */
  bias?: boolean;
}

/** Two-dimensional convolution `name` of x `[n, inChannels, h, w]`. */
export function convolution(g: Graph, name: string, x: Value, options: ConvolutionOptions): Value {
  const { inChannels, outChannels, kernel, stride = 1, padding = 0, bias = true } = options;
  return g.module(name, () => {
    const operands = [x, g.parameter('weight', [outChannels, inChannels, kernel, kernel])];
    if (bias) {
      operands.push(g.parameter('bias', [outChannels]));
    }
    return g.node('Conv', operands, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: typeof padding === 'number' ? [padding, padding, padding, padding] : padding,
    });
  });
}

/** Transposed convolution `name` that doubles height and width: kernel 2×2, stride 2. */
export function doublingConvolution(g: Graph, name: string, x: Value, channels: number): Value {
  return g.module(name, () => {
    const operands = [x, g.parameter('weight', [channels, channels, 2, 2]), g.parameter('bias', [channels])];
    return g.node('ConvTranspose', operands, { kernel_shape: [2, 2], strides: [2, 2] });
  });
}

/** Convolution `name` that halves height and width: kernel 2×2, stride 2. */
export function halvingConvolution(g: Graph, name: string, x: Value, channels: number): Value {
  return convolution(g, name, x, { inChannels: channels, outChannels: channels, kernel: 2, stride: 2 });
}

/** Group normalisation without scale and shift of x `[n, channels, h, w]`. */
export function normalizeGroups(g: Graph, x: Value, channels: number, groups: number, epsilon: number): Value {
  // With a group's channels on the height axis this is instance normalisation, which is as fast on ONNX Runtime as any
  // other portable form (LayerNormalization, reductions) and subtracts the mean before it squares.
  const grouped = reshape(g, x, [0, groups, -1, 0]);
  const [ones, zeros] = [g.floats(new Array(groups).fill(1)), g.floats(new Array(groups).fill(0))];
  const normalized = g.node('InstanceNormalization', [grouped, ones, zeros], { epsilon: { float: epsilon } });
  return reshape(g, normalized, [0, channels, -1, 0]);
}

/** Group normalisation `name` with a learned scale and shift per channel, of x `[n, channels, h, w]`. */
export function groupNorm(g: Graph, name: string, x: Value, channels: number, groups: number, epsilon: number): Value {
  return g.module(name, () => {
    const scale = g.parameter('weight', [channels], [channels, 1, 1]);
    const shift = g.parameter('bias', [channels], [channels, 1, 1]);
    return add(g, multiply(g, normalizeGroups(g, x, channels, groups, epsilon), scale), shift);
  });
}

/** Sinusoidal embedding of x `[rows]` → `[rows, size]`: all sines, then all cosines. */
function sinusoidalEmbedding(g: Graph, x: Value, size: number): Value {
  const half = size / 2;
  const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-i * Math.log(10000)) / (half - 1)));
  const angles = multiply(g, reshape(g, x, [-1, 1]), g.floats(frequencies, [1, half]));
  return concat(g, [g.node('Sin', [angles]), g.node('Cos', [angles])], 1);
}

/** Embedding `name` of a number: x `[rows]` → `[rows, outputs]`. Its sinusoid has `size` elements. */
export function numberEmbedding(g: Graph, name: string, x: Value, size: number, outputs: number): Value {
  return g.module(name, () => {
    const sinusoid = g.module('0', () => sinusoidalEmbedding(g, x, size));
    const hidden = silu(g, linear(g, '1', sinusoid, size, outputs, { bias: true }));
    return linear(g, '3', hidden, outputs, outputs, { bias: true });
  });
}
