import { InferTensorContents } from '../../../proto/gen/grpc_service.ts';
import { encodeBytesElements } from '../../pipeline/bytes-elements.ts';
import { type ElementTypeName, elementTypeNames, elementTypes } from '../../pipeline/element-types.ts';
import { invalidArgument } from '../errors.ts';

interface TypedInput {
  name: string;
  datatype: string;
  contents: InferTensorContents;
}

/**
 * The bytes of a tensor given as typed values. Exactly the field of the tensor's type may be filled; FP16 and BF16 have
 * none. Values of 8 and 16 bits wrap around. Throws INVALID_ARGUMENT.
 */
export function bytesOfContents(input: TypedInput, modelName: string): Uint8Array {
  const { name, datatype, contents } = input;
  let bytes: Uint8Array | undefined;
  const take = (type: string, convert: () => ArrayBufferView) => {
    if (bytes && bytes.byteLength > 0) {
      throw invalidArgument(
        `unexpected explicit tensor data for input tensor '${name}' for model '${modelName}', binary data was already supplied.`,
      );
    }
    if (type !== datatype) {
      throw invalidArgument(
        `unexpected explicit tensor data for input tensor '${name}' for model '${modelName}' of type '${type}', expected datatype '${datatype}'`,
      );
    }
    const view = convert();
    bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  };

  for (const field of contentsFields) {
    const values = contents[field];
    if (values.length > 0) {
      const types = elementTypeNames.filter((type) => contentsOf(type) === field);
      const type = types.find((each) => elementTypes[each].triton === datatype) ?? types.at(-1)!;
      take(elementTypes[type].triton, () => viewOf(type, values));
    }
  }
  return bytes ?? new Uint8Array();
}

type ContentsField = keyof InferTensorContents;

const contentsOf = (type: ElementTypeName) => (elementTypes[type] as { contents?: ContentsField }).contents;

/** In the order of the protocol. */
const contentsFields = Object.keys(InferTensorContents.create()) as ContentsField[];

function viewOf(type: ElementTypeName, values: readonly (boolean | number | bigint | Uint8Array)[]): ArrayBufferView {
  if (type === 'string') {
    return encodeBytesElements(values as Uint8Array[]);
  }
  const array = elementTypes[type].array as { from(values: readonly unknown[]): ArrayBufferView };
  // Typed arrays store booleans as 0 and 1.
  return array.from(values);
}
