import type { ElementType } from './datatypes.ts';

/** A tensor on its way through the server: its elements as they travel, little-endian, row-major. */
export interface WireTensor {
  readonly type: ElementType;
  /** Whole shape; of a model with batching the first dimension is the batch. */
  readonly shape: readonly bigint[];
  /** Elements; of BYTES each one as a 4-byte length and its bytes. */
  readonly data: Uint8Array;
}

/** Where each element of BYTES data starts, and the end of the last one. Expects checked data. */
export function bytesOffsets(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const offsets = [0];
  let position = 0;
  while (position < data.byteLength) {
    position += 4 + view.getUint32(position, true);
    offsets.push(position);
  }
  return offsets;
}

/** BYTES data of these elements. */
export function encodeBytesElements(elements: readonly Uint8Array[]): Uint8Array {
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

/** The elements of BYTES data, not copied. Expects checked data. */
export function decodeBytesElements(data: Uint8Array): Uint8Array[] {
  const offsets = bytesOffsets(data);
  return offsets.slice(1).map((end, index) => data.subarray(offsets[index]! + 4, end));
}
