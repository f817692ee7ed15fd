import { TensorProto_DataType as ElementType, type GraphProto, type NodeProto } from '../../proto/gen/onnx/onnx.ts';
import { elementTypes } from '../../services/pipeline/element-types.ts';
import { typeOfOnnx } from '../graphs/onnx-types.ts';

/** ONNX's name of a type, such as `FLOAT16`. */
export function typeName(type: ElementType): string {
  return elementTypes[typeOfOnnx(type)].onnx;
}

/** Element type of every tensor in a graph, by its name. */
export function elementTypesOf(graph: GraphProto): Map<string, ElementType> {
  const types = new Map(graph.initializer.map(({ name, dataType }) => [name, dataType as ElementType]));
  for (const { name, type } of graph.input) {
    types.set(name, type!.value!.value.elemType as ElementType);
  }
  for (const node of graph.node) {
    const type = outputType(node, types);
    for (const name of node.output) {
      types.set(name, type);
    }
  }
  return types;
}

/** The input that determines an operator's type: a choice of Where, the first input of all others. */
export function mainInput({ opType, input }: NodeProto): string {
  return input[opType === 'Where' ? 1 : 0]!;
}

function outputType(node: NodeProto, types: ReadonlyMap<string, ElementType>): ElementType {
  switch (node.opType) {
    case 'Cast':
      return castType(node);
    case 'Shape':
      return ElementType.INT64;
    case 'Equal':
    case 'Less':
      return ElementType.BOOL;
    default:
      return types.get(mainInput(node))!;
  }
}

/** The result type of a Cast. */
export function castType({ attribute }: NodeProto): ElementType {
  return Number(attribute.find(({ name }) => name === 'to')!.i) as ElementType;
}
