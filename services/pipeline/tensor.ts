import { invalidField } from '../kit/errors.ts';
import {
  bytesPerElement,
  type ElementArrays,
  elementsOf,
  type FixedTypeName,
  type TypesIn,
  typesIn,
} from './element-types.ts';

/** Element types that travel between the stages. */
export type DataType = TypesIn<'wire'>;

/** The same, to list them. */
export const dataTypes: readonly DataType[] = typesIn('wire');

export function isDataType(type: string | undefined): type is DataType {
  return (dataTypes as readonly (string | undefined)[]).includes(type);
}

/** The typed array that holds the elements of each type; of bool one byte an element, 0 or 1. */
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

/** Bytes that a tensor of this type and shape takes. */
export function byteSize(dataType: FixedTypeName, shape: readonly number[]): number {
  return elementCount(shape) * bytesPerElement(dataType);
}

/** A tensor over `data`, which is not copied. Throws INVALID_ARGUMENT when its length is not the shape's. */
export function tensor<T extends DataType>(dataType: T, shape: readonly number[], data: TensorArrays[T]): Tensor<T> {
  const expected = elementCount(shape);
  if (data.length !== expected) {
    throw invalidField('tensor data', `${data.length} elements`, `${expected} elements for shape [${shape}]`);
  }
  return { dataType, shape, data };
}

/** The tensor's bytes, little-endian, without a copy. */
export function tensorBytes(value: Tensor): Uint8Array {
  return new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
}

/**
 * A tensor over little-endian bytes. The bytes are copied only when they do not lie at a multiple of the element size,
 * as bytes fields inside protobuf messages usually do not. Throws INVALID_ARGUMENT when their number is not the shape's.
 */
export function tensorFromBytes<T extends DataType>(
  dataType: T,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor<T> {
  const expected = byteSize(dataType, shape);
  if (bytes.byteLength !== expected) {
    throw invalidField('tensor data', `${bytes.byteLength} bytes`, `${expected} bytes for ${dataType} [${shape}]`);
  }
  return { dataType, shape, data: elementsOf(dataType, bytes) };
}
