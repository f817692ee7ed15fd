import { Status } from 'nice-grpc-common';
import {
  type GraphProto,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
} from '../../proto/gen/onnx/onnx.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { elementsOf } from '../../services/pipeline/element-types.ts';
import type { Fact } from '../graphs/fact.ts';
import { typeOfOnnx } from '../graphs/onnx-types.ts';
import { type NodeFacts, shapeRules } from '../graphs/shape-rules.ts';

/** Maximum number of elements tracked per constant: shapes are short, weights are long. */
const maxValues = 64;

/** A fact in a call with known input sizes. */
export interface SizedFact extends Fact {
  shape: readonly number[];
}

/**
 * Type and shape of every tensor in a graph, given the shapes of its inputs. Throws INTERNAL naming the node whose
 * operator has no rule here or whose inputs do not fit, and INVALID_ARGUMENT for an input without a shape.
 */
export function inferShapes(
  graph: GraphProto,
  inputShapes: Readonly<Record<string, readonly number[]>>,
): Map<string, SizedFact> {
  const facts = new Map(graph.initializer.map((tensor) => [tensor.name, constantFact(tensor)]));
  for (const { name, type } of graph.input) {
    const shape = inputShapes[name];
    if (shape === undefined) {
      throw new FusionError(Status.INVALID_ARGUMENT, `${graph.name}: input ${name} has no shape`, { field: name });
    }
    facts.set(name, { type: typeOfOnnx(type!.value!.value.elemType), shape });
  }
  for (const node of graph.node) {
    outputFacts(node, facts).forEach((fact, index) => {
      facts.set(node.output[index]!, fact);
    });
  }
  return facts;
}

function outputFacts(node: NodeProto, facts: ReadonlyMap<string, Fact>): SizedFact[] {
  try {
    const rule = shapeRules[node.opType];
    if (rule === undefined) {
      throw new Error('the operator has no shape rule');
    }
    return rule(nodeFacts(node, facts)).map(sized);
  } catch (error) {
    const message = `node ${node.name} (${node.opType}): ${(error as Error).message}`;
    throw new FusionError(Status.INTERNAL, message, { cause: error });
  }
}

function sized(fact: Fact): SizedFact {
  const shape = fact.shape.filter((size) => typeof size === 'number');
  if (shape.length < fact.shape.length) {
    throw new Error('a shape depends on elements that are known only when the graph runs');
  }
  return { ...fact, shape };
}

function nodeFacts(node: NodeProto, facts: ReadonlyMap<string, Fact>): NodeFacts {
  const attribute = (name: string) => node.attribute.find((each) => each.name === name);
  return {
    // An omitted input has an empty name.
    inputs: node.input.map((name) => facts.get(name)),
    integer: (name, otherwise) => Number(attribute(name)?.i ?? otherwise),
    integers: (name, otherwise) => attribute(name)?.ints.map(Number) ?? otherwise,
    text: (name, otherwise) => new TextDecoder().decode(attribute(name)?.s ?? new TextEncoder().encode(otherwise)),
  };
}

function constantFact({ dims, dataType, rawData, dataLocation }: TensorProto): SizedFact {
  const fact = { type: typeOfOnnx(dataType), shape: dims.map(Number) };
  if (dataLocation === TensorProto_DataLocation.EXTERNAL || rawData.length > maxValues * 8) {
    return fact;
  }
  const values = fact.type === 'int64' ? elementsOf('int64', rawData) : elementsOf('float32', rawData);
  return { ...fact, values: Array.from(values, Number) };
}
