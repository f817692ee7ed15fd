import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';
import { divide, multiply, unknown } from './dimensions.ts';
import type { Fact } from './fact.ts';
import { typeOfOnnx } from './onnx-types.ts';
import { broadcast, poolShape, reshaped, samePoolShape, unpoolShape } from './shape-arithmetic.ts';

/** A node as seen by its rule. */
export interface NodeFacts {
  /** An omitted input is undefined. */
  inputs: readonly (Fact | undefined)[];
  integer(name: string, otherwise: number): number;
  integers(name: string, otherwise: readonly number[]): readonly number[];
  text(name: string, otherwise: string): string;
}

/** Infers a node's outputs from its inputs, one fact each. Throws an error that says what does not fit. */
export type ShapeRule = (node: NodeFacts) => Fact[];

const given = (inputs: NodeFacts['inputs']): readonly Fact[] => inputs.filter((input) => input !== undefined);

const likeFirst: ShapeRule = ({ inputs: [x] }) => [{ type: x!.type, shape: x!.shape }];
const broadcasting: ShapeRule = ({ inputs }) => [{ type: inputs[0]!.type, shape: broadcast(given(inputs)) }];
const deciding: ShapeRule = ({ inputs }) => [{ type: 'bool', shape: broadcast(given(inputs)) }];

/** Broadcasting operators used in arithmetic on (integer) sizes. */
const computing =
  (operate: (a: Dimension, b: Dimension) => Dimension): ShapeRule =>
  ({ inputs }) => {
    const [a, b] = inputs as [Fact, Fact];
    const [left, right] = [a.values ?? [], b.values ?? []];
    const isFollowed = a.type === 'int64' && left.length === 1 && right.length === 1;
    const values = isFollowed && { values: [operate(left[0]!, right[0]!)] };
    return [{ type: a.type, shape: broadcast([a, b]), ...values }];
  };

const ofNumbers =
  (operate: (a: number, b: number) => number) =>
  (a: Dimension, b: Dimension): Dimension =>
    typeof a === 'number' && typeof b === 'number' ? operate(a, b) : unknown;

const pooling: ShapeRule = (node) => {
  const [x] = node.inputs as [Fact];
  return [{ type: x.type, shape: [...x.shape.slice(0, 2), ...pooled(node, x, node.integers('kernel_shape', []))] }];
};

/** Sizes after the channels that the node's kernel leaves of x `[n, channels, …]`. */
function pooled(node: NodeFacts, x: Fact, kernel: readonly number[]): Dimension[] {
  const size = x.shape.slice(2);
  const strides = node.integers('strides', new Array(kernel.length).fill(1));
  return node.text('auto_pad', 'NOTSET') === 'SAME_UPPER'
    ? samePoolShape(size, strides)
    : poolShape(size, kernel, strides, node.integers('pads', []));
}

const reducing: ShapeRule = (node) => {
  const [x, axes] = node.inputs as [Fact, Fact];
  const reduced = valuesOf(axes).map((axis) => fromEnd(Number(axis), x.shape));
  const keepsAxes = node.integer('keepdims', 1) === 1;
  const shape = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
  return [{ type: x.type, shape: keepsAxes ? shape : shape.filter((_, axis) => !reduced.includes(axis)) }];
};

/** The operators that our graphs use, by their ONNX names (opset 20). */
export const shapeRules: Partial<Record<string, ShapeRule>> = {
  Abs: likeFirst,
  Add: broadcasting,
  And: deciding,
  ArgMax: (node) => {
    const [x] = node.inputs as [Fact];
    return [{ type: 'int64', shape: x.shape.with(fromEnd(node.integer('axis', 0), x.shape), 1) }];
  },
  AveragePool: pooling,
  BatchNormalization: likeFirst,
  Cast: (node) => [{ ...node.inputs[0]!, type: typeOfOnnx(node.integer('to', 0)) }],
  Clip: likeFirst,
  Concat: (node) => {
    const parts = given(node.inputs) as [Fact, ...Fact[]];
    const [first] = parts;
    const axis = fromEnd(node.integer('axis', 0), first.shape);
    const along = parts.map(({ shape }) => shape[axis]!).reduce(ofNumbers((a, b) => a + b));
    const isFollowed = first.shape.length === 1 && parts.every(({ values }) => values);
    return [
      {
        type: first.type,
        shape: first.shape.with(axis, along),
        ...(isFollowed && { values: parts.flatMap(({ values }) => values!) }),
      },
    ];
  },
  Conv: (node) => {
    const [x, weight] = node.inputs as [Fact, Fact];
    const [outChannels = 0, , ...kernel] = weight.shape as number[];
    return [{ type: x.type, shape: [x.shape[0]!, outChannels, ...pooled(node, x, kernel)] }];
  },
  ConvTranspose: (node) => {
    const [x, weight] = node.inputs as [Fact, Fact];
    const [, outChannels = 0, ...kernel] = weight.shape as number[];
    const strides = node.integers('strides', new Array(kernel.length).fill(1));
    const [items = 0, , ...size] = x.shape;
    return [{ type: x.type, shape: [items, outChannels, ...unpoolShape(size, kernel, strides)] }];
  },
  Cos: likeFirst,
  Div: computing((a, b) => (typeof a === 'number' && typeof b === 'number' ? Math.trunc(a / b) : divide(a, b))),
  Equal: deciding,
  Expand: ({ inputs }) => {
    const [x, shape] = inputs as [Fact, Fact];
    return [{ type: x.type, shape: broadcast([x, { shape: valuesOf(shape) }]) }];
  },
  Gather: (node) => {
    const [table, indices] = node.inputs as [Fact, Fact];
    const axis = fromEnd(node.integer('axis', 0), table.shape);
    return [{ type: table.type, shape: table.shape.toSpliced(axis, 1, ...indices.shape) }];
  },
  Gelu: likeFirst,
  Gemm: (node) => {
    const [a, b] = node.inputs as [Fact, Fact];
    return [{ type: a.type, shape: [a.shape[0]!, b.shape[node.integer('transB', 0) === 1 ? 0 : 1]!] }];
  },
  Identity: ({ inputs: [x] }) => [x!],
  InstanceNormalization: likeFirst,
  LayerNormalization: likeFirst,
  Less: deciding,
  MatMul: ({ inputs }) => {
    const [a, b] = inputs as [Fact, Fact];
    const items = broadcast([{ shape: a.shape.slice(0, -2) }, { shape: b.shape.slice(0, -2) }]);
    return [{ type: a.type, shape: [...items, a.shape.at(-2)!, b.shape.at(-1)!] }];
  },
  Max: computing(ofNumbers(Math.max)),
  MaxPool: pooling,
  Min: computing(ofNumbers(Math.min)),
  Mul: computing(multiply),
  Not: likeFirst,
  Or: deciding,
  Range: ({ inputs }) => {
    const [start, limit, delta] = (inputs as [Fact, Fact, Fact]).map((input) => valuesOf(input)[0]!);
    const isCount = start === 0 && delta === 1;
    const distance = ofNumbers((from, to) => to - from);
    const count = ofNumbers((length, step) => Math.max(0, Math.ceil(length / step)));
    return [{ type: inputs[0]!.type, shape: [isCount ? limit! : count(distance(start!, limit!), delta!)] }];
  },
  ReduceMean: reducing,
  ReduceSum: reducing,
  Relu: likeFirst,
  Reshape: ({ inputs }) => {
    const [x, shape] = inputs as [Fact, Fact];
    return [{ ...x, shape: reshaped(x.shape, valuesOf(shape)) }];
  },
  Resize: ({ inputs }) => {
    const [x, , scales] = inputs as [Fact, Fact | undefined, Fact];
    const scale = (size: Dimension, factor: Dimension) =>
      typeof size === 'number' ? Math.floor(size * Number(factor)) : multiply(size, factor);
    const factors = valuesOf(scales);
    return [{ type: x.type, shape: x.shape.map((size, axis) => scale(size, factors[axis]!)) }];
  },
  Round: likeFirst,
  Shape: (node) => {
    const { shape } = node.inputs[0]!;
    const values = shape.slice(node.integer('start', 0), node.integer('end', shape.length));
    return [{ type: 'int64', shape: [values.length], values }];
  },
  Sigmoid: likeFirst,
  Sin: likeFirst,
  Softmax: likeFirst,
  Split: (node) => {
    const [x] = node.inputs as [Fact];
    const count = node.integer('num_outputs', 1);
    const axis = fromEnd(node.integer('axis', 0), x.shape);
    const shape = x.shape.with(axis, divide(x.shape[axis]!, count));
    return Array.from({ length: count }, () => ({ type: x.type, shape }));
  },
  Sqrt: likeFirst,
  Sub: broadcasting,
  Transpose: (node) => {
    const [x] = node.inputs as [Fact];
    return [{ type: x.type, shape: node.integers('perm', []).map((axis) => x.shape[axis]!) }];
  },
  Unsqueeze: ({ inputs }) => {
    const [x, axes] = inputs as [Fact, Fact];
    const added = valuesOf(axes);
    const rest = x.shape.values();
    const rank = x.shape.length + added.length;
    return [
      { ...x, shape: Array.from({ length: rank }, (_, axis) => (added.includes(axis) ? 1 : rest.next().value!)) },
    ];
  },
  Where: ({ inputs }) => [{ type: inputs[1]!.type, shape: broadcast(given(inputs)) }],
};

/** The elements of a tensor that determines a shape; unknown sizes if only a run can tell. */
function valuesOf({ values, shape: [count = 1] }: Fact): readonly Dimension[] {
  if (values) {
    return values;
  }
  if (typeof count === 'string') {
    throw new Error('the rank of the result depends on what is known only when the graph runs');
  }
  return new Array<Dimension>(count).fill(unknown);
}

const fromEnd = (axis: number, shape: readonly Dimension[]) => (axis < 0 ? axis + shape.length : axis);
