import {
  AttributeProto_AttributeType as AttributeType,
  ModelProto,
  type NodeProto,
  TensorProto,
  TensorProto_DataLocation,
  ValueInfoProto,
} from '../../proto/gen/onnx/onnx.ts';
import { type ElementTypeName, elementTypeNamed } from '../../services/pipeline/element-types.ts';
import type { Dimension, NetworkInterface, TensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { type DataType, dataTypes, isDataType } from '../../services/pipeline/tensor.ts';
import type { Weights } from '../checkpoints/weights.ts';
import { unknown } from './dimensions.ts';
import type { Fact } from './fact.ts';
import { onnxType, onnxTypeOfStored } from './onnx-types.ts';
import { shapeRules } from './shape-rules.ts';
import { type Attribute, type GraphBuilder, type Sizes, Value } from './value.ts';

/** An input or output of a graph. */
export interface Endpoint {
  name: string;
  dataType: DataType;
  /** Absent if any shape is allowed. */
  shape?: readonly Dimension[];
}

// Supported by NVIDIA Triton's ONNX Runtime and TensorRT: newer operators exist, but released servers lag behind.
const opset = 20n;
const irVersion = 10n;

/**
 * An ONNX graph under construction. Parameters and values are named after the published modules: `module` enters a
 * module, and everything created inside carries its path. Parameters stay in their checkpoint file, which the graph
 * references as external data.
 */
export class Graph implements GraphBuilder {
  readonly #name: string;
  readonly #weights: Weights;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs: Endpoint[] = [];
  readonly #outputs: Endpoint[] = [];
  /** What nodes give. */
  readonly #inner: Value[] = [];
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

  input(name: string, { dataType, shape }: TensorSpec): Value {
    this.#inputs.push({ name, dataType, shape });
    return new Value(this, name, { type: dataType, shape });
  }

  /** Declares all inputs of a network. */
  takes<Specs extends NetworkInterface['inputs']>(specs: Specs): { [Name in keyof Specs]: Value } {
    const inputs = Object.entries(specs).map(([name, spec]) => [name, this.input(name, spec)]);
    return Object.fromEntries(inputs) as { [Name in keyof Specs]: Value };
  }

  /** Declares an output, of any shape if none is given. Throws for a type that outputs cannot have. */
  output(name: string, value: Value, shape?: readonly Dimension[]): void {
    const { type } = value;
    if (!isDataType(type)) {
      throw new Error(`output ${name} must be one of ${dataTypes.join(', ')} (got ${type})`);
    }
    this.#nodes.push({ input: [value.name], output: [name], name, opType: 'Identity', attribute: [] });
    this.#outputs.push({ name, dataType: type, ...(shape && { shape }) });
  }

  /** Declares all outputs of a network. Throws if one has a different type than declared. */
  gives<Specs extends NetworkInterface['outputs']>(specs: Specs, values: { [Name in keyof Specs]: Value }): void {
    for (const [name, { dataType, shape }] of Object.entries(specs)) {
      const value = values[name]!;
      if (value.type !== dataType) {
        throw new Error(`output ${name} must be ${dataType} (got ${value.type})`);
      }
      this.output(name, value, shape);
    }
  }

  module(name: string, body: () => Value): Value {
    this.#path.push(name);
    const value = body();
    this.#moduleOutputs.set(this.#path.join('.'), value);
    this.#path.pop();
    return value;
  }

  /**
   * Makes what the module of this full path gave an output of the graph, averaged over axes if some are given; false when
   * there is no such module.
   */
  expose(path: string, name: string, meanOver: readonly number[] = []): boolean {
    const value = this.#moduleOutputs.get(path);
    if (value !== undefined) {
      const mean = () => value.node('ReduceMean', [this.integers(meanOver)], { keepdims: 0 });
      this.output(name, meanOver.length === 0 ? value : mean());
    }
    return value !== undefined;
  }

  remember(name: string, value: Value): void {
    this.#moduleOutputs.set([...this.#path, name].join('.'), value);
  }

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
    const type = elementTypeNamed('safetensors', stored.dataType)!;
    const parameter = new Value(this, fullName, { type, shape: layout });
    return type === 'float32' ? parameter : this.once(`float32 ${fullName}`, () => parameter.cast('float32'));
  }

  idleParameter(name: string, shape: readonly number[]): void {
    this.#weights.parameter([...this.#path, name].join('.'), shape);
  }

  node(opType: string, inputs: readonly (Value | undefined)[], attributes: Record<string, Attribute> = {}): Value {
    return this.nodeOutputs(opType, inputs, attributes)[0]!;
  }

  nodeOutputs(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Record<string, Attribute> = {},
  ): Value[] {
    const name = [...this.#path, `${opType}_${this.#nodes.length}`].join('/');
    const outputs = outputFacts(name, opType, inputs, attributes).map((fact, index) => {
      return new Value(this, index === 0 ? name : `${name}:${index}`, fact);
    });
    this.#inner.push(...outputs);
    this.#nodes.push({
      name,
      opType,
      // An omitted input is written as an empty name.
      input: inputs.map((input) => input?.name ?? ''),
      output: outputs.map((output) => output.name),
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    return outputs;
  }

  once(key: string, make: () => Value): Value {
    let value = this.#reused.get(key);
    if (value === undefined) {
      value = make();
      this.#reused.set(key, value);
    }
    return value;
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.#constant('float32', values, shape, new Float32Array(values));
  }

  integers(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.#constant('int64', values, shape, new BigInt64Array(values.map(BigInt)));
  }

  shape(sizes: Sizes): Value {
    if (sizes.every((size) => typeof size === 'number')) {
      return this.integers(sizes);
    }
    if (sizes.length === 1) {
      return sizes[0] as Value;
    }
    const key = sizes.map((size) => (typeof size === 'number' ? size : size.name)).join(' ');
    return this.once(`shape ${key}`, () => {
      const parts = sizes.map((size) => (typeof size === 'number' ? this.integers([size]) : size));
      return this.node('Concat', parts, { axis: 0 });
    });
  }

  /** The content of `model.onnx`. */
  encode(): Uint8Array {
    return ModelProto.encode({
      irVersion,
      producerName: 'fusionframes',
      opsetImport: [{ domain: '', version: opset }],
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: [...this.#initializers.values()],
        input: this.#inputs.map(({ name, dataType, shape }) => valueInfo(name, dataType, shape)),
        output: this.#outputs.map(({ name, dataType, shape }) => valueInfo(name, dataType, shape)),
        // Most of the time in which ONNX Runtime loads a model, it would look for buffers to use again, comparing each with all
        // before; when it knows the shapes it finds one soon.
        valueInfo: this.#inner.map(({ name, type, shape }) => valueInfo(name, type, shape)),
      },
    }).finish();
  }

  #constant(
    type: 'float32' | 'int64',
    values: readonly number[],
    shape: readonly number[],
    data: Float32Array | BigInt64Array,
  ): Value {
    return this.once(`constant ${type} [${shape}] ${data}`, () => {
      const name = `constant_${this.#initializers.size}`;
      const rawData = new Uint8Array(data.buffer);
      const dims = shape.map(BigInt);
      this.#initializers.set(name, TensorProto.fromPartial({ name, dims, dataType: onnxType(type), rawData }));
      return new Value(this, name, { type, shape, values });
    });
  }
}

function outputFacts(
  name: string,
  opType: string,
  inputs: readonly (Value | undefined)[],
  attributes: Record<string, Attribute>,
): Fact[] {
  const rule = shapeRules[opType];
  if (rule === undefined) {
    throw new Error(`node ${name}: operator ${opType} has no shape rule`);
  }
  try {
    return rule({
      inputs: inputs.map((input) => input?.fact),
      integer: (key, otherwise) => (attributes[key] ?? otherwise) as number,
      integers: (key, otherwise) => (attributes[key] ?? otherwise) as readonly number[],
      text: (key, otherwise) => (attributes[key] ?? otherwise) as string,
    });
  } catch (error) {
    throw new Error(`node ${name}: ${(error as Error).message}`, { cause: error });
  }
}

function valueInfo(name: string, type: ElementTypeName, shape: readonly Dimension[] | undefined): ValueInfoProto {
  const dim = shape?.map((dimension) => ({ value: dimensionValue(dimension) }));
  return ValueInfoProto.fromPartial({
    name,
    type: { value: { $case: 'tensorType', value: { elemType: onnxType(type), ...(dim && { shape: { dim } }) } } },
  });
}

function dimensionValue(dimension: Dimension) {
  if (dimension === unknown) {
    return undefined;
  }
  return typeof dimension === 'number'
    ? { $case: 'dimValue' as const, value: BigInt(dimension) }
    : { $case: 'dimParam' as const, value: dimension };
}

// Shared by all attributes: a graph has tens of thousands, and byte arrays are slow to allocate.
const unset = { f: 0, i: 0n, s: new Uint8Array(), ints: [] as bigint[] };
const utf8 = new TextEncoder();

function attribute(name: string, value: Attribute) {
  if (typeof value === 'number') {
    return { ...unset, name, type: AttributeType.INT, i: BigInt(value) };
  }
  if (typeof value === 'string') {
    return { ...unset, name, type: AttributeType.STRING, s: utf8.encode(value) };
  }
  if ('float' in value) {
    return { ...unset, name, type: AttributeType.FLOAT, f: value.float };
  }
  return { ...unset, name, type: AttributeType.INTS, ints: value.map(BigInt) };
}
