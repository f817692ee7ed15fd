import { Status } from 'nice-grpc-common';
import {
  TensorProto_DataType as ElementType,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
} from '../../proto/gen/onnx/onnx.ts';
import { FusionError } from '../../services/kit/errors.ts';
import type { Fact } from './fact.ts';
import { type NodeFacts, shapeRules } from './shape-rules.ts';

/** Elements of constants are followed up to this number: shapes are short, weights are long. */
const maxValues = 64;

/**
 * Type and shape of every tensor in a graph, given the shapes of its inputs. Throws INTERNAL naming the node whose
 * operator has no rule here or whose inputs do not fit, and INVALID_ARGUMENT for an input without a shape.
 */
export function inferShapes(
  graph: GraphProto,
  inputShapes: Readonly<Record<string, readonly number[]>>,
): Map<string, Fact> {
  const facts = new Map<string, Fact>(graph.initializer.map((tensor) => [tensor.name, constantFact(tensor)]));
  for (const { name, type } of graph.input) {
    const shape = inputShapes[name];
    if (shape === undefined) {
      throw new FusionError(Status.INVALID_ARGUMENT, `${graph.name}: input ${name} has no shape`, { field: name });
    }
    facts.set(name, { elementType: type!.value!.value.elemType as ElementType, shape });
  }
  for (const node of graph.node) {
    outputFacts(node, facts).forEach((fact, index) => {
      facts.set(node.output[index]!, fact);
    });
  }
  return facts;
}

function outputFacts(node: NodeProto, facts: ReadonlyMap<string, Fact>): Fact[] {
  try {
    const rule = shapeRules[node.opType];
    if (rule === undefined) {
      throw new Error('no rule tells the shape of what it gives');
    }
    return rule(nodeFacts(node, facts));
  } catch (error) {
    const message = `node ${node.name} (${node.opType}): ${(error as Error).message}`;
    throw new FusionError(Status.INTERNAL, message, { cause: error });
  }
}

function nodeFacts(node: NodeProto, facts: ReadonlyMap<string, Fact>): NodeFacts {
  const attribute = (name: string) => node.attribute.find((each) => each.name === name);
  return {
    // An input left out has an empty name.
    inputs: node.input.map((name) => facts.get(name)!),
    integer: (name, otherwise) => Number(attribute(name)?.i ?? otherwise),
    integers: (name, otherwise) => attribute(name)?.ints.map(Number) ?? otherwise,
  };
}

function constantFact({ dims, dataType, rawData, dataLocation }: TensorProto): Fact {
  const fact = { elementType: dataType as ElementType, shape: dims.map(Number) };
  if (dataLocation === TensorProto_DataLocation.EXTERNAL || rawData.length > maxValues * 8) {
    return fact;
  }
  const bytes = new DataView(rawData.buffer, rawData.byteOffset, rawData.length);
  const [size, read] =
    dataType === ElementType.INT64
      ? [8, (at: number) => Number(bytes.getBigInt64(at, true))]
      : [4, (at: number) => bytes.getFloat32(at, true)];
  return { ...fact, values: Array.from({ length: rawData.length / size }, (_, i) => read(i * size)) };
}
