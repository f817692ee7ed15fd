import { invalidField, inWords } from '../kit/errors.ts';

/** Encodes elements as BYTES data: each is preceded by its length, 4 bytes little-endian. */
export function encodeBytesElements(elements: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = elements.reduce((sum, element) => sum + 4 + element.byteLength, 0);
  const data = new Uint8Array(size);
  const view = new DataView(data.buffer);
  let position = 0;
  for (const element of elements) {
    view.setUint32(position, element.byteLength, true);
    data.set(element, position + 4);
    position += 4 + element.byteLength;
  }
  return data;
}

/**
 * Offsets of the elements in BYTES data, and the end of the last one. Throws INVALID_ARGUMENT if the lengths do not add
 * up to the data.
 */
export function bytesOffsets(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const offsets = [0];
  let position = 0;
  while (position < data.byteLength) {
    const left = data.byteLength - position;
    const size = left < 4 ? left + 1 : 4 + view.getUint32(position, true);
    if (size > left) {
      throw invalidField('BYTES data', inWords(`${left} bytes for element ${offsets.length - 1}`), `${size} bytes`);
    }
    position += size;
    offsets.push(position);
  }
  return offsets;
}

/** The elements of BYTES data, not copied. Throws like {@link bytesOffsets}. */
export function decodeBytesElements(data: Uint8Array): Uint8Array[] {
  const offsets = bytesOffsets(data);
  return offsets.slice(1).map((end, index) => data.subarray(offsets[index]! + 4, end));
}
