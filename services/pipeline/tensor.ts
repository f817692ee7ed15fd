import { invalidField, inWords } from '../kit/errors.ts';
import {
  bytesPerElement,
  type ElementArrays,
  elementsOf,
  type FixedTypeName,
  type TypesIn,
  typesIn,
} from './element-types.ts';

/** Element types exchanged between stages. */
export type DataType = TypesIn<'wire'>;

/** The same, as a list. */
export const dataTypes: readonly DataType[] = typesIn('wire');

export function isDataType(type: string | undefined): type is DataType {
  return (dataTypes as readonly (string | undefined)[]).includes(type);
}

/** The typed array of each type; bool takes one byte per element, 0 or 1. */
export type TensorArrays = Pick<ElementArrays, DataType>;

/** A dense tensor in row-major order; `data.length` is the product of `shape`. */
export interface Tensor<T extends DataType = DataType> {
  readonly dataType: T;
  readonly shape: readonly number[];
  readonly data: TensorArrays[T];
}

/** Number of elements of a shape; 1 for a scalar (the empty shape). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Size in bytes of a tensor with this type and shape. */
export function byteSize(dataType: FixedTypeName, shape: readonly number[]): number {
  return elementCount(shape) * bytesPerElement(dataType);
}

/** Wraps `data`, without a copy, as a tensor. Throws INVALID_ARGUMENT if its length does not match the shape. */
export function tensor<T extends DataType>(dataType: T, shape: readonly number[], data: TensorArrays[T]): Tensor<T> {
  const expected = elementCount(shape);
  if (data.length !== expected) {
    throw invalidField('tensor data', inWords(`${data.length} elements`), `${expected} elements for shape [${shape}]`);
  }
  return { dataType, shape, data };
}

/** The tensor's little-endian bytes, not copied. */
export function tensorBytes(value: Tensor): Uint8Array {
  return new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
}

/**
 * Wraps little-endian bytes as a tensor. Copies them only if they are not aligned to the element size, which is typical
 * of bytes fields in protobuf messages. Throws INVALID_ARGUMENT if their number does not match the shape.
 */
export function tensorFromBytes<T extends DataType>(
  dataType: T,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor<T> {
  const expected = byteSize(dataType, shape);
  if (bytes.byteLength !== expected) {
    throw invalidField(
      'tensor data',
      inWords(`${bytes.byteLength} bytes`),
      `${expected} bytes for ${dataType} [${shape}]`,
    );
  }
  return { dataType, shape, data: elementsOf(dataType, bytes) };
}
