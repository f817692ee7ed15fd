import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as ElementType,
  ModelProto,
  type NodeProto,
  TensorProto,
  TensorProto_DataLocation,
  ValueInfoProto,
} from '../../proto/gen/onnx/onnx.ts';
import type { DataType } from '../../services/pipeline/tensor.ts';
import type { Weights } from '../checkpoints/weights.ts';
import { onnxType, onnxTypeOfStored } from './onnx-types.ts';

/** A tensor inside a graph, by its name. */
export type Value = string;

/** Size of an axis: a number, or the name of what it counts where it varies from call to call. */
export type Dimension = number | string;

/** An input or output of a graph. */
export interface Endpoint {
  name: string;
  dataType: DataType;
  /** Absent where any shape may come. */
  shape?: readonly Dimension[];
}

/** Attribute of a node: a number stands for an integer; floats are wrapped, since ONNX tells the two apart. */
export type Attribute = number | readonly number[] | string | { float: number };

// What NVIDIA Triton's ONNX Runtime and TensorRT take: newer operators exist, but the released servers lag behind.
const opset = 20n;
const irVersion = 10n;

/**
 * An ONNX graph under construction. Parameters and values are named after the published modules: `module` enters a
 * module, and everything made inside it carries its path. Parameters stay in their checkpoint file, which the graph
 * refers to as external data.
 */
export class Graph {
  readonly #name: string;
  readonly #weights: Weights;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs: Endpoint[] = [];
  readonly #outputs: Endpoint[] = [];
  readonly #moduleOutputs = new Map<string, Value>();
  readonly #reused = new Map<string, Value>();
  readonly #path: string[] = [];

  constructor(name: string, weights: Weights) {
    this.#name = name;
    this.#weights = weights;
  }

  get inputs(): readonly Endpoint[] {
    return this.#inputs;
  }

  get outputs(): readonly Endpoint[] {
    return this.#outputs;
  }

  input(name: string, dataType: DataType, shape: readonly Dimension[]): Value {
    this.#inputs.push({ name, dataType, shape });
    return name;
  }

  /** Without a shape, the output has whatever shape comes. */
  output(name: string, value: Value, dataType: DataType, shape?: readonly Dimension[]): void {
    this.#nodes.push({ input: [value], output: [name], name, opType: 'Identity', attribute: [] });
    this.#outputs.push({ name, dataType, ...(shape && { shape }) });
  }

  /** Runs `body` inside the submodule `name`, and remembers the value it gives as the module's output. */
  module(name: string, body: () => Value): Value {
    this.#path.push(name);
    const value = body();
    this.#moduleOutputs.set(this.#path.join('.'), value);
    this.#path.pop();
    return value;
  }

  /** Makes what the module of this full path gave an output of the graph, float32; false when there is no such module. */
  expose(path: string, name: string): boolean {
    const value = this.#moduleOutputs.get(path);
    if (value !== undefined) {
      this.output(name, value, 'float32');
    }
    return value !== undefined;
  }

  /** Remembers a value under a name of its own inside the current module, as `module` does for its output. */
  remember(name: string, value: Value): void {
    this.#moduleOutputs.set([...this.#path, name].join('.'), value);
  }

  /**
   * A parameter of the current module as float32. `layout` is the shape that the graph sees where it is not the
   * published one: the same bytes, so that a 3×1×1 kernel serves a two-dimensional convolution.
   */
  parameter(name: string, shape: readonly number[], layout: readonly number[] = shape): Value {
    const fullName = [...this.#path, name].join('.');
    const stored = this.#weights.parameter(fullName, shape);
    if (!this.#initializers.has(fullName)) {
      this.#initializers.set(
        fullName,
        TensorProto.fromPartial({
          name: fullName,
          dims: layout.map(BigInt),
          dataType: onnxTypeOfStored(stored.dataType),
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: [
            { key: 'location', value: stored.file },
            { key: 'offset', value: String(stored.offset) },
            { key: 'length', value: String(stored.length) },
          ],
        }),
      );
    }
    return stored.dataType === 'F32'
      ? fullName
      : this.once(`float32 ${fullName}`, () => this.node('Cast', [fullName], { to: ElementType.FLOAT }));
  }

  /** Says that the current module has this parameter, which nothing uses: it belongs to the checkpoint alone. */
  idleParameter(name: string, shape: readonly number[]): void {
    this.#weights.parameter([...this.#path, name].join('.'), shape);
  }

  /** The output of a new node. An input left out is written as an empty name. */
  node(opType: string, inputs: readonly Value[], attributes: Record<string, Attribute> = {}): Value {
    return this.nodeOutputs(opType, inputs, attributes, 1)[0]!;
  }

  /** The outputs of a new node that has several. */
  nodeOutputs(opType: string, inputs: readonly Value[], attributes: Record<string, Attribute>, count: number): Value[] {
    const name = [...this.#path, `${opType}_${this.#nodes.length}`].join('/');
    const outputs = Array.from({ length: count }, (_, index) => (index === 0 ? name : `${name}:${index}`));
    this.#nodes.push({
      name,
      opType,
      input: [...inputs],
      output: outputs,
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    return outputs;
  }

  /** The value that `make` gave when first asked for under this key: for what many modules need and one node can make. */
  once(key: string, make: () => Value): Value {
    let value = this.#reused.get(key);
    if (value === undefined) {
      value = make();
      this.#reused.set(key, value);
    }
    return value;
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.#constant(ElementType.FLOAT, shape, new Float32Array(values));
  }

  integers(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.#constant(ElementType.INT64, shape, new BigInt64Array(values.map(BigInt)));
  }

  /** The model as bytes of `model.onnx`. */
  encode(): Uint8Array {
    return ModelProto.encode({
      irVersion,
      producerName: 'fusionframes',
      opsetImport: [{ domain: '', version: opset }],
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: [...this.#initializers.values()],
        input: this.#inputs.map(valueInfo),
        output: this.#outputs.map(valueInfo),
        valueInfo: [],
      },
    }).finish();
  }

  #constant(type: ElementType, shape: readonly number[], data: Float32Array | BigInt64Array): Value {
    const key = `constant ${type} [${shape}] ${data}`;
    return this.once(key, () => {
      const name = `constant_${this.#initializers.size}`;
      const rawData = new Uint8Array(data.buffer);
      const dims = shape.map(BigInt);
      this.#initializers.set(name, TensorProto.fromPartial({ name, dims, dataType: type, rawData }));
      return name;
    });
  }
}

function valueInfo({ name, dataType, shape }: Endpoint): ValueInfoProto {
  const dim = shape?.map((dimension) => ({
    value:
      typeof dimension === 'number'
        ? { $case: 'dimValue' as const, value: BigInt(dimension) }
        : { $case: 'dimParam' as const, value: dimension },
  }));
  return ValueInfoProto.fromPartial({
    name,
    type: {
      value: { $case: 'tensorType', value: { elemType: onnxType(dataType), ...(dim && { shape: { dim } }) } },
    },
  });
}

function attribute(name: string, value: Attribute) {
  const empty = { name, f: 0, i: 0n, s: new Uint8Array(), ints: [] as bigint[] };
  if (typeof value === 'number') {
    return { ...empty, type: AttributeType.INT, i: BigInt(value) };
  }
  if (typeof value === 'string') {
    return { ...empty, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  }
  if ('float' in value) {
    return { ...empty, type: AttributeType.FLOAT, f: value.float };
  }
  return { ...empty, type: AttributeType.INTS, ints: value.map(BigInt) };
}
