import { elementTypeNamed, elementTypes } from '../element-types.ts';
import { dataTypes, isDataType, type Tensor, tensorBytes, tensorFromBytes } from '../tensor.ts';
import { encodeHeader, parseHeader } from './layout.ts';

/** Encodes tensors as a safetensors file in memory, for the few megabytes that stages exchange. */
export function encodeTensorFile(tensors: Readonly<Record<string, Tensor>>): Uint8Array {
  const entries = Object.entries(tensors);
  const header = encodeHeader(
    new Map(
      entries.map(([name, { dataType, shape }]) => [name, { dataType: elementTypes[dataType].safetensors, shape }]),
    ),
  );
  return Buffer.concat([header, ...entries.map(([, value]) => tensorBytes(value))]);
}

/**
 * Decodes such a file; tensors share its bytes where these are aligned. Throws a RangeError that says what is wrong
 * with the file, or that it contains an element type that stages do not exchange.
 */
export function decodeTensorFile(file: Uint8Array): Map<string, Tensor> {
  const headerLength = file.length < 8 ? 0 : Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (headerLength === 0 || 8 + headerLength > file.length) {
    throw new RangeError(`its header is cut short: ${file.length} bytes in all`);
  }
  const dataStart = 8 + headerLength;
  const header = file.subarray(8, dataStart);
  const tensors = new Map<string, Tensor>();
  for (const [name, { dataType, shape, offset, length }] of parseHeader(header, dataStart, file.length)) {
    const type = elementTypeNamed('safetensors', dataType);
    if (!isDataType(type)) {
      throw new RangeError(
        `${name}: element type must be one of ${dataTypes.map((each) => elementTypes[each].safetensors).join(', ')} (got ${dataType})`,
      );
    }
    tensors.set(name, tensorFromBytes(type, shape, file.subarray(offset, offset + length)));
  }
  return tensors;
}
