import { TensorProto_DataType as ElementType } from '../../proto/gen/onnx/onnx.ts';
import type { Fact } from './fact.ts';
import { broadcast, poolShape, reshaped } from './shape-arithmetic.ts';

/** A node as its rule sees it. */
export interface NodeFacts {
  inputs: readonly Fact[];
  integer(name: string, otherwise: number): number;
  integers(name: string, otherwise: readonly number[]): readonly number[];
}

/** What a node gives, from what it takes: one fact for each output. */
export type ShapeRule = (node: NodeFacts) => Fact[];

const likeFirst: ShapeRule = ({ inputs: [x] }) => [{ elementType: x!.elementType, shape: x!.shape }];
const broadcasting: ShapeRule = ({ inputs }) => [{ elementType: inputs[0]!.elementType, shape: broadcast(inputs) }];
const deciding: ShapeRule = ({ inputs }) => [{ elementType: ElementType.BOOL, shape: broadcast(inputs) }];

/** Broadcasting operators that sizes, which are integers, are computed with. */
const computing =
  (operate: (a: number, b: number) => number): ShapeRule =>
  ({ inputs }) => {
    const [a, b] = inputs as [Fact, Fact];
    const shape = broadcast(inputs);
    const [left, right] = [a.values ?? [], b.values ?? []];
    const isFollowed = a.elementType === ElementType.INT64 && left.length === 1 && right.length === 1;
    const values = isFollowed && { values: [operate(left[0]!, right[0]!)] };
    return [{ elementType: a.elementType, shape, ...values }];
  };

/** The operators that our graphs use, by their ONNX names (opset 20). */
export const shapeRules: Partial<Record<string, ShapeRule>> = {
  Add: broadcasting,
  And: deciding,
  Cast: (node) => [{ ...node.inputs[0]!, elementType: node.integer('to', 0) as ElementType }],
  Clip: likeFirst,
  Concat: (node) => {
    const axis = fromEnd(node.integer('axis', 0), node.inputs[0]!.shape);
    const [first] = node.inputs as [Fact];
    const along = node.inputs.reduce((sum, { shape }) => sum + shape[axis]!, 0);
    const isFollowed = first.shape.length === 1 && node.inputs.every(({ values }) => values);
    return [
      {
        elementType: first.elementType,
        shape: first.shape.with(axis, along),
        ...(isFollowed && { values: node.inputs.flatMap(({ values }) => values!) }),
      },
    ];
  },
  Conv: (node) => {
    const [x, weight] = node.inputs as [Fact, Fact];
    const [outChannels = 0, , ...kernel] = weight.shape;
    const [strides, pads] = [
      node.integers(
        'strides',
        kernel.map(() => 1),
      ),
      node.integers('pads', []),
    ];
    const [items = 0, , ...size] = x.shape;
    const out = poolShape(size, kernel, strides, pads);
    return [{ elementType: x.elementType, shape: [items, outChannels, ...out] }];
  },
  ConvTranspose: (node) => {
    const [x, weight] = node.inputs as [Fact, Fact];
    const [, outChannels = 0, ...kernel] = weight.shape;
    const strides = node.integers(
      'strides',
      kernel.map(() => 1),
    );
    const [items = 0, , ...size] = x.shape;
    const out = size.map((length, axis) => (length - 1) * strides[axis]! + kernel[axis]!);
    return [{ elementType: x.elementType, shape: [items, outChannels, ...out] }];
  },
  Cos: likeFirst,
  Div: computing((a, b) => Math.trunc(a / b)),
  Equal: deciding,
  Expand: ({ inputs }) => {
    const [x, shape] = inputs as [Fact, Fact];
    return [{ elementType: x.elementType, shape: broadcast([x, { shape: valuesOf(shape) }]) }];
  },
  Gather: (node) => {
    const [table, indices] = node.inputs as [Fact, Fact];
    const axis = fromEnd(node.integer('axis', 0), table.shape);
    return [{ elementType: table.elementType, shape: table.shape.toSpliced(axis, 1, ...indices.shape) }];
  },
  Gelu: likeFirst,
  Gemm: (node) => {
    const [a, b] = node.inputs as [Fact, Fact];
    const columns = node.integer('transB', 0) === 1 ? b.shape[0]! : b.shape[1]!;
    return [{ elementType: a.elementType, shape: [a.shape[0]!, columns] }];
  },
  Identity: ({ inputs: [x] }) => [x!],
  InstanceNormalization: likeFirst,
  LayerNormalization: likeFirst,
  MatMul: ({ inputs }) => {
    const [a, b] = inputs as [Fact, Fact];
    const items = broadcast([{ shape: a.shape.slice(0, -2) }, { shape: b.shape.slice(0, -2) }]);
    return [{ elementType: a.elementType, shape: [...items, a.shape.at(-2)!, b.shape.at(-1)!] }];
  },
  Max: computing(Math.max),
  Min: computing(Math.min),
  Mul: computing((a, b) => a * b),
  Not: likeFirst,
  Or: deciding,
  Range: ({ inputs }) => {
    const [start = 0, limit = 0, delta = 1] = inputs.map((input) => valuesOf(input)[0]!);
    return [{ elementType: inputs[0]!.elementType, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }];
  },
  ReduceMean: (node) => {
    const [x, axes] = node.inputs as [Fact, Fact];
    const reduced = valuesOf(axes).map((axis) => fromEnd(axis, x.shape));
    const keepsAxes = node.integer('keepdims', 1) === 1;
    const shape = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
    return [
      { elementType: x.elementType, shape: keepsAxes ? shape : shape.filter((_, axis) => !reduced.includes(axis)) },
    ];
  },
  Reshape: ({ inputs }) => {
    const [x, shape] = inputs as [Fact, Fact];
    return [{ ...x, shape: reshaped(x.shape, valuesOf(shape)) }];
  },
  Resize: ({ inputs }) => {
    const [x, , scales] = inputs as [Fact, Fact | undefined, Fact];
    const factors = valuesOf(scales);
    return [{ elementType: x.elementType, shape: x.shape.map((size, axis) => Math.floor(size * factors[axis]!)) }];
  },
  Round: likeFirst,
  Shape: (node) => {
    const { shape } = node.inputs[0]!;
    const values = shape.slice(node.integer('start', 0), node.integer('end', shape.length));
    return [{ elementType: ElementType.INT64, shape: [values.length], values }];
  },
  Sigmoid: likeFirst,
  Sin: likeFirst,
  Softmax: likeFirst,
  Split: (node) => {
    const [x] = node.inputs as [Fact];
    const count = node.integer('num_outputs', 1);
    const axis = fromEnd(node.integer('axis', 0), x.shape);
    const shape = x.shape.with(axis, x.shape[axis]! / count);
    return Array.from({ length: count }, () => ({ elementType: x.elementType, shape }));
  },
  Sqrt: likeFirst,
  Sub: broadcasting,
  Transpose: (node) => {
    const [x] = node.inputs as [Fact];
    const perm = node.integers('perm', []);
    return [{ elementType: x.elementType, shape: perm.map((axis) => x.shape[axis]!) }];
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
  Where: ({ inputs }) => [{ elementType: inputs[1]!.elementType, shape: broadcast(inputs) }],
};

function valuesOf({ values }: Fact): readonly number[] {
  if (values === undefined) {
    throw new Error('a shape depends on elements that are known only when the graph runs');
  }
  return values;
}

const fromEnd = (axis: number, shape: readonly number[]) => (axis < 0 ? axis + shape.length : axis);
