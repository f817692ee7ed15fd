import { TensorProto_DataType } from '../../proto/gen/onnx/onnx.ts';
import {
  type ElementTypeName,
  elementTypeNamed,
  elementTypeNames,
  elementTypes,
  type NamesIn,
} from '../../services/pipeline/element-types.ts';

/** The number that ONNX has for a type. */
export const onnxType = (type: ElementTypeName): TensorProto_DataType => TensorProto_DataType[elementTypes[type].onnx];

/** The same for a type by its name in the safetensors format. */
export const onnxTypeOfStored = (type: NamesIn<'safetensors'>) => onnxType(elementTypeNamed('safetensors', type)!);

const byNumber = new Map<number, ElementTypeName>(elementTypeNames.map((type) => [onnxType(type), type]));

/** The type that an ONNX number stands for. Throws a RangeError for a number that is not in the table. */
export function typeOfOnnx(number: number): ElementTypeName {
  const type = byNumber.get(number);
  if (type === undefined) {
    throw new RangeError(`ONNX element type ${number} is not one that is used here`);
  }
  return type;
}
