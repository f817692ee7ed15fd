import { TensorProto_DataType } from '../../proto/gen/onnx/onnx.ts';
import {
  type ElementTypeName,
  elementTypeNamed,
  elementTypeNames,
  elementTypes,
  type NamesIn,
} from '../../services/pipeline/element-types.ts';

/** ONNX's number of a type. */
export const onnxType = (type: ElementTypeName): TensorProto_DataType => TensorProto_DataType[elementTypes[type].onnx];

/** ONNX's number of a type given by its safetensors name. */
export const onnxTypeOfStored = (type: NamesIn<'safetensors'>) => onnxType(elementTypeNamed('safetensors', type)!);

const byNumber = new Map<number, ElementTypeName>(elementTypeNames.map((type) => [onnxType(type), type]));

/** The type with this ONNX number. Throws a RangeError for an unsupported number. */
export function typeOfOnnx(number: number): ElementTypeName {
  const type = byNumber.get(number);
  if (type === undefined) {
    throw new RangeError(`ONNX element type ${number} is not supported`);
  }
  return type;
}
