import type { Graph, Value } from './graph.ts';

/**
 * Sizes of a new shape: numbers as in ONNX (0 copies the axis, −1 is what remains) or integer tensors that hold one or
 * more sizes known only while the graph runs.
 */
export type Sizes = readonly (number | Value)[];

export const add = (g: Graph, a: Value, b: Value): Value => g.node('Add', [a, b]);

export const multiply = (g: Graph, a: Value, b: Value): Value => g.node('Mul', [a, b]);

export const silu = (g: Graph, x: Value): Value => multiply(g, x, g.node('Sigmoid', [x]));

export const transpose = (g: Graph, x: Value, perm: readonly number[]): Value => g.node('Transpose', [x], { perm });

export const concat = (g: Graph, values: readonly Value[], axis: number): Value => g.node('Concat', values, { axis });

/** Sizes of the axes from `start` up to, not including, `end`, as an integer tensor. */
export const sizesOf = (g: Graph, x: Value, start: number, end: number): Value =>
  g.once(`sizes ${x} ${start} ${end}`, () => g.node('Shape', [x], { start, end }));

export function reshape(g: Graph, x: Value, sizes: Sizes): Value {
  return g.node('Reshape', [x, shapeTensor(g, sizes)]);
}

/** The integer tensor of a shape. */
export function shapeTensor(g: Graph, sizes: Sizes): Value {
  if (sizes.every((size) => typeof size === 'number')) {
    return g.integers(sizes);
  }
  if (sizes.length === 1) {
    return sizes[0] as Value;
  }
  return g.once(`shape ${sizes.join(' ')}`, () =>
    concat(
      g,
      sizes.map((size) => (typeof size === 'number' ? g.integers([size]) : size)),
      0,
    ),
  );
}

/** Integers 0, 1, … up to, not including, the one that the 1-element tensor `count` holds. */
export function range(g: Graph, count: Value): Value {
  const scalar = reshape(g, count, []);
  return g.node('Range', [g.integers([0], []), scalar, g.integers([1], [])]);
}

export const toFloat = (g: Graph, x: Value): Value => g.node('Cast', [x], { to: 1 });
