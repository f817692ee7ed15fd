import type { InferTensorContents } from '../../../proto/gen/grpc_service.ts';
import { encodeBytesElements } from '../../pipeline/bytes-elements.ts';
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

  if (contents.boolContents.length > 0) {
    take('BOOL', () => Uint8Array.from(contents.boolContents, Number));
  }
  if (contents.intContents.length > 0) {
    const values = contents.intContents;
    if (datatype === 'INT8') {
      take('INT8', () => Int8Array.from(values));
    } else if (datatype === 'INT16') {
      take('INT16', () => Int16Array.from(values));
    } else {
      take('INT32', () => Int32Array.from(values));
    }
  }
  if (contents.int64Contents.length > 0) {
    take('INT64', () => BigInt64Array.from(contents.int64Contents));
  }
  if (contents.uintContents.length > 0) {
    const values = contents.uintContents;
    if (datatype === 'UINT8') {
      take('UINT8', () => Uint8Array.from(values));
    } else if (datatype === 'UINT16') {
      take('UINT16', () => Uint16Array.from(values));
    } else {
      take('UINT32', () => Uint32Array.from(values));
    }
  }
  if (contents.uint64Contents.length > 0) {
    take('UINT64', () => BigUint64Array.from(contents.uint64Contents));
  }
  if (contents.fp32Contents.length > 0) {
    take('FP32', () => Float32Array.from(contents.fp32Contents));
  }
  if (contents.fp64Contents.length > 0) {
    take('FP64', () => Float64Array.from(contents.fp64Contents));
  }
  if (contents.bytesContents.length > 0) {
    take('BYTES', () => encodeBytesElements(contents.bytesContents));
  }
  return bytes ?? new Uint8Array();
}
