import type { ElementTypeName } from '../../services/pipeline/element-types.ts';
import type { Dimension } from '../../services/pipeline/networks/network-interface.ts';
import type { Fact } from './fact.ts';
import { onnxType } from './onnx-types.ts';

/** A part of a network: a function of a tensor. */
export type Layer = (x: Value) => Value;

/**
 * Sizes of a new shape: numbers as in ONNX (0 copies the axis, −1 is inferred) or integer tensors with one or more
 * sizes known only at run time.
 */
export type Sizes = readonly (number | Value)[];

/** A node's attribute: plain numbers are integers; floats are wrapped, because ONNX distinguishes the two. */
export type Attribute = number | readonly number[] | string | { float: number };

/** The graph that values are added to, as networks use it. */
export interface GraphBuilder {
  /** Runs `body` inside the submodule `name` and remembers its result as the module's output. */
  module(name: string, body: () => Value): Value;
  /** Remembers a value under a name inside the current module, as `module` does for its output. */
  remember(name: string, value: Value): void;
  /**
   * A parameter of the current module as float32. `layout` reinterprets its shape without changing the bytes, so that a
   * 3×1×1 kernel can serve a two-dimensional convolution.
   */
  parameter(name: string, shape: readonly number[], layout?: readonly number[]): Value;
  /** Declares an unused parameter of the current module, which is only part of the checkpoint. */
  idleParameter(name: string, shape: readonly number[]): void;
  /** Adds a node and returns its output. Throws if its inputs do not fit together. */
  node(opType: string, inputs: readonly (Value | undefined)[], attributes?: Record<string, Attribute>): Value;
  /** Adds a node with several outputs and returns them. */
  nodeOutputs(opType: string, inputs: readonly (Value | undefined)[], attributes?: Record<string, Attribute>): Value[];
  /** Creates a value once per key, for values that several modules share. */
  once(key: string, make: () => Value): Value;
  floats(values: readonly number[], shape?: readonly number[]): Value;
  integers(values: readonly number[], shape?: readonly number[]): Value;
  /** A shape as an integer tensor. */
  shape(sizes: Sizes): Value;
}

/** A tensor in a graph, with its type and, as far as known, its shape. */
export class Value {
  readonly graph: GraphBuilder;
  readonly name: string;
  readonly fact: Fact;

  constructor(graph: GraphBuilder, name: string, fact: Fact) {
    this.graph = graph;
    this.name = name;
    this.fact = fact;
  }

  get type(): ElementTypeName {
    return this.fact.type;
  }

  get shape(): readonly Dimension[] {
    return this.fact.shape;
  }

  /** Size of the second axis, the channels. */
  get channels(): number {
    return this.size(1);
  }

  /** Size of a fixed axis; negative axes count from the end. Throws if the size varies between calls. */
  size(axis: number): number {
    const size = this.shape.at(axis);
    if (typeof size !== 'number') {
      throw new Error(`${this.name} [${this.shape}]: the size of axis ${axis} must be a number`);
    }
    return size;
  }

  /** Applies layers in order. */
  through(...layers: readonly Layer[]): Value {
    return layers.reduce<Value>((x, layer) => layer(x), this);
  }

  plus(other: Value | number): Value {
    return this.#with('Add', other);
  }

  minus(other: Value | number): Value {
    return this.#with('Sub', other);
  }

  times(other: Value | number): Value {
    return this.#with('Mul', other);
  }

  over(other: Value | number): Value {
    return this.#with('Div', other);
  }

  /** Matrix product over the last two axes. */
  matmul(other: Value): Value {
    return this.node('MatMul', [other]);
  }

  clip(min: number, max: number): Value {
    return this.node('Clip', [this.#scalar(min), this.#scalar(max)]);
  }

  cast(type: ElementTypeName): Value {
    return this.node('Cast', [], { to: onnxType(type) });
  }

  /** Over the last axis. */
  softmax(): Value {
    return this.node('Softmax', [], { axis: -1 });
  }

  transpose(...perm: readonly number[]): Value {
    return this.node('Transpose', [], { perm });
  }

  reshape(...sizes: Sizes): Value {
    return this.node('Reshape', [this.graph.shape(sizes)]);
  }

  /** Inserts axes of size 1 at these positions. */
  unsqueeze(...axes: readonly number[]): Value {
    return this.node('Unsqueeze', [this.graph.integers(axes)]);
  }

  /** Gathers rows by the integers `indices`, along the first axis. */
  rows(indices: Value): Value {
    return this.node('Gather', [indices], { axis: 0 });
  }

  /** Sizes of the axes from `start` (inclusive) to `end` (exclusive), as an integer tensor. */
  sizes(start: number, end: number): Value {
    return this.graph.once(`sizes ${this.name} ${start} ${end}`, () => this.node('Shape', [], { start, end }));
  }

  /** For a 1-element integer n: the integers 0 … n − 1. */
  range(): Value {
    const limit = this.reshape();
    const { graph } = this;
    return graph.node('Range', [graph.integers([0], []), limit, graph.integers([1], [])]);
  }

  /** Applies an operator to this tensor and further inputs. */
  node(opType: string, others: readonly Value[] = [], attributes: Record<string, Attribute> = {}): Value {
    return this.graph.node(opType, [this, ...others], attributes);
  }

  #with(opType: string, other: Value | number): Value {
    return this.node(opType, [typeof other === 'number' ? this.#scalar(other) : other]);
  }

  #scalar(value: number): Value {
    return this.type === 'int64' ? this.graph.integers([value], []) : this.graph.floats([value], []);
  }
}

export const silu: Layer = (x) => x.times(x.node('Sigmoid'));

export const relu: Layer = (x) => x.node('Relu');

const identity: Layer = (x) => x;

/** An optional layer: the identity if the network does not have it. */
export const when = (isThere: boolean, layer: () => Layer): Layer => (isThere ? layer() : identity);

/** A layer as the submodule `name`, whose parameters carry its path. */
export const named =
  (name: string, layer: Layer): Layer =>
  (x) =>
    x.graph.module(name, () => layer(x));

export function concat(values: readonly [Value, ...Value[]], axis: number): Value {
  return values[0].graph.node('Concat', values, { axis });
}
