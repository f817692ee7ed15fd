import { TensorProto_DataType as ElementType, type GraphProto, type NodeProto } from '../../proto/gen/onnx/onnx.ts';
import type { HalfPrecisionRules } from '../graphs/half-precision-rules.ts';
import { castType, elementTypesOf } from './element-types.ts';

/** Precision of a parameter, by safetensors name. */
export type WeightType = 'F16' | 'F32';

export interface HalvedGraph {
  graph: GraphProto;
  /** The type in which each parameter is read. If stored in another, it is cast in the graph. */
  weightTypes: Map<string, WeightType>;
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
 * Converts a graph to float16 where the published pipeline uses it; inputs and outputs keep their types. The mask's
 * most negative float32, softmax, norms, time embeddings and everything from the last convolution to the output stay
 * float32.
 */
export function halveGraph(graph: GraphProto, allowsHalf: HalfPrecisionRules): HalvedGraph {
  const halver = new Halver(graph, allowsHalf);
  for (const node of graph.node) {
    halver.add(node);
  }
  return halver.finish();
}

class Halver {
  readonly #graph: GraphProto;
  readonly #allowsHalf: HalfPrecisionRules;
  /** The original type of every tensor. */
  readonly #before: ReadonlyMap<string, ElementType>;
  /** The current type of every floating-point tensor. */
  readonly #types = new Map<string, ElementType>();
  /** Parameters, constants and values computed only from these: they adopt the type of the other operand. */
  readonly #weak: Set<string>;
  readonly #parameters: Set<string>;
  /** Parameters stored in half precision, by the names of their casts to float32. */
  readonly #stored = new Map<string, string>();
  readonly #weightTypes = new Map<string, WeightType>();
  readonly #nodes: NodeProto[] = [];
  readonly #casts = new Map<string, string>();

  constructor(graph: GraphProto, allowsHalf: HalfPrecisionRules) {
    this.#graph = graph;
    this.#allowsHalf = allowsHalf;
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
      for (const name of output) {
        this.#weak.add(name);
      }
    }
  }

  finish(): HalvedGraph {
    const given = new Map<string, string>();
    for (const { name } of this.#graph.output) {
      if (this.#types.get(name) !== this.#before.get(name)) {
        given.set(name, `${name}/float16`);
        this.#nodes.push(castNode(name, `${name}/float16`, ElementType.FLOAT));
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
    if (sensitive.has(opType) || !isHalfAllowed(name, this.#allowsHalf)) {
      return ElementType.FLOAT;
    }
    if (products.has(opType)) {
      return ElementType.FLOAT16;
    }
    const strong = operands.filter((each) => !this.#weak.has(each));
    const isHalf = strong.length > 0 && strong.every((each) => this.#types.get(each) === ElementType.FLOAT16);
    return isHalf ? ElementType.FLOAT16 : ElementType.FLOAT;
  }

  /** The name of a tensor's version in this type. */
  #as(name: string, type: ElementType): string {
    const source = this.#stored.get(name) ?? name;
    if (this.#parameters.has(source)) {
      const isHalf = type === ElementType.FLOAT16 && this.#weightTypes.get(source) !== 'F32';
      this.#weightTypes.set(source, isHalf ? 'F16' : 'F32');
    }
    if (this.#types.get(source) === type) {
      return source;
    }
    const cast = `${source}/${type === ElementType.FLOAT16 ? 'float16' : 'float32'}`;
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
