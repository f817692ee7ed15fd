import { elementCount } from '../tensor.ts';

/** Element types of stored tensors, by the names of the safetensors format, and the bytes that an element takes. */
export const bytesPerElement = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type ElementType = keyof typeof bytesPerElement;

/** Bytes that a tensor takes when its elements lie one after the other. */
export function byteLength(dataType: ElementType, shape: readonly number[]): number {
  return bytesPerElement[dataType] * elementCount(shape);
}
