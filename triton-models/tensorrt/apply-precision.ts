import { TensorProto_DataType as ElementType, type GraphProto, type NodeProto } from '../../proto/gen/onnx/onnx.ts';
import type { ParameterType } from '../checkpoints/weights.ts';
import { type EnginePrecision, storedAs } from '../graphs/engine-precision.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';
import { onnxType } from '../graphs/onnx-types.ts';
import { castType, elementTypesOf } from './element-types.ts';

/** How the numbers inside a graph are represented. */
export interface PrecisionOptions {
  precision: EnginePrecision;
  allowsHalf: HalfPrecisionRules;
  /** Parameters that do not fit the precision: they and the operators that read them stay float32. */
  single?: ReadonlySet<string> | undefined;
}

export interface ConvertedGraph {
  graph: GraphProto;
  /** The type in which each parameter is read. If stored in another, it is cast in the graph. */
  weightTypes: Map<string, ParameterType>;
}

// The published pipeline runs under PyTorch's autocast, and these lists are autocast's: products in half precision, sums
// and exponentials in single precision, everything else in the widest type of its inputs.
const products = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
const sensitive = new Set([
  'Cos',
  'InstanceNormalization',
  'LayerNormalization',
  'ReduceMean',
  'Round',
  'Sin',
  'Softmax',
  'Sqrt',
]);

/**
 * Converts a graph to a precision where the published pipeline uses half precision; inputs and outputs keep their types.
 * The mask's most negative float32, softmax, norms, time embeddings and everything from the last convolution to the output
 * stay float32.
 */
export function applyPrecision(graph: GraphProto, options: PrecisionOptions): ConvertedGraph {
  const converter = new Converter(graph, options);
  for (const node of graph.node) {
    converter.add(node);
  }
  return converter.finish();
}

class Converter {
  readonly #graph: GraphProto;
  readonly #allowsHalf: HalfPrecisionRules;
  readonly #precision: EnginePrecision;
  /** The type of products. */
  readonly #type: ElementType;
  /** Parameters that must stay float32, and values computed only from parameters and constants with one of them. */
  readonly #single: Set<string>;
  /** The original type of every tensor. */
  readonly #before: ReadonlyMap<string, ElementType>;
  /** The current type of every floating-point tensor. */
  readonly #types = new Map<string, ElementType>();
  /** Parameters, constants and values computed only from these: they adopt the type of the other operand. */
  readonly #weak: Set<string>;
  readonly #parameters: Set<string>;
  /** Parameters stored in half precision, by the names of their casts to float32. */
  readonly #stored = new Map<string, string>();
  readonly #weightTypes = new Map<string, ParameterType>();
  readonly #nodes: NodeProto[] = [];
  readonly #casts = new Map<string, string>();

  constructor(graph: GraphProto, { precision, allowsHalf, single }: PrecisionOptions) {
    this.#graph = graph;
    this.#allowsHalf = allowsHalf;
    this.#precision = precision;
    this.#type = onnxType(precision);
    this.#single = new Set(single);
    this.#before = elementTypesOf(graph);
    this.#parameters = new Set(
      graph.initializer.filter((each) => each.externalData.length > 0).map(({ name }) => name),
    );
    this.#weak = new Set(graph.initializer.map(({ name }) => name));
    for (const [name, type] of this.#before) {
      this.#types.set(name, type);
    }
  }

  add(node: NodeProto): void {
    const { opType, input, output } = node;
    if (opType === 'Cast' && this.#parameters.has(input[0]!) && castType(node) === ElementType.FLOAT) {
      this.#stored.set(output[0]!, input[0]!);
      this.#weak.add(output[0]!);
      return;
    }
    // An omitted input has an empty name; the scales of a Resize are always float32.
    const operands = input.filter(
      (name, i) => this.#before.get(name) === ElementType.FLOAT && !(opType === 'Resize' && i > 0),
    );
    if (operands.length === 0 || opType === 'Cast' || opType === 'Shape') {
      this.#nodes.push(node);
    } else {
      const type = this.#typeFor(node, operands);
      this.#nodes.push({
        ...node,
        input: input.map((name) => (operands.includes(name) ? this.#as(name, type) : name)),
      });
      for (const name of output.filter((each) => this.#before.get(each) === ElementType.FLOAT)) {
        this.#types.set(name, type);
      }
    }
    if (input.every((name) => name === '' || this.#weak.has(name))) {
      const isSingle = input.some((name) => this.#isSingle(name));
      for (const name of output) {
        this.#weak.add(name);
        if (isSingle) {
          this.#single.add(name);
        }
      }
    }
  }

  finish(): ConvertedGraph {
    const given = new Map<string, string>();
    for (const { name } of this.#graph.output) {
      if (this.#types.get(name) !== this.#before.get(name)) {
        given.set(name, `${name}/${this.#precision}`);
        this.#nodes.push(castNode(name, `${name}/${this.#precision}`, ElementType.FLOAT));
      }
    }
    const renamed = (name: string) => given.get(name) ?? name;
    const node = this.#nodes.map((each) => {
      const isCastOfOutput = each.opType === 'Cast' && given.get(each.output[0]!) === each.input[0];
      return isCastOfOutput ? each : { ...each, input: each.input.map(renamed), output: each.output.map(renamed) };
    });
    return { graph: { ...this.#graph, node }, weightTypes: this.#weightTypes };
  }

  #typeFor({ name, opType }: NodeProto, operands: readonly string[]): ElementType {
    const isSingle = operands.some((each) => this.#isSingle(each));
    if (isSingle || sensitive.has(opType) || !isHalfAllowed(name, this.#allowsHalf)) {
      return ElementType.FLOAT;
    }
    if (products.has(opType)) {
      return this.#type;
    }
    const strong = operands.filter((each) => !this.#weak.has(each));
    const isHalf = strong.length > 0 && strong.every((each) => this.#types.get(each) === this.#type);
    return isHalf ? this.#type : ElementType.FLOAT;
  }

  #isSingle(name: string): boolean {
    return this.#single.has(this.#stored.get(name) ?? name);
  }

  /** The name of a tensor's version in this type. */
  #as(name: string, type: ElementType): string {
    const source = this.#stored.get(name) ?? name;
    if (this.#parameters.has(source)) {
      const isHalf = type === this.#type && this.#weightTypes.get(source) !== 'F32';
      this.#weightTypes.set(source, isHalf ? storedAs[this.#precision] : 'F32');
    }
    if (this.#types.get(source) === type) {
      return source;
    }
    const cast = `${source}/${type === ElementType.FLOAT ? 'float32' : this.#precision}`;
    if (!this.#casts.has(cast)) {
      this.#casts.set(cast, source);
      this.#nodes.push(castNode(cast, source, type));
      this.#types.set(cast, type);
    }
    return cast;
  }
}

function isHalfAllowed(nodeName: string, allowsHalf: HalfPrecisionRules): boolean {
  const modules = nodeName.split('/').slice(0, -1);
  const deciding = modules.findLast((name) => Object.hasOwn(allowsHalf, name));
  return deciding === undefined || allowsHalf[deciding]!;
}

function castNode(output: string, input: string, type: ElementType): NodeProto {
  const to = { name: 'to', type: 2 as const, i: BigInt(type), f: 0, s: new Uint8Array(), ints: [] };
  return { name: output, opType: 'Cast', input: [input], output: [output], attribute: [to] };
}
