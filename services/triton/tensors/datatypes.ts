import { Status } from 'nice-grpc-common';
import { FusionError } from '../../kit/errors.ts';
import {
  bytesPerElement,
  type ElementArrays,
  elementTypeNamed,
  elementTypes,
  type FixedTypeName,
} from '../../pipeline/element-types.ts';
import { type DataType, dataTypes, elementCount, isDataType } from '../../pipeline/tensor.ts';

type Rows = typeof elementTypes;

/** The protocol's element types with their arrays. BYTES are strings or other data of any length. */
export type DatatypeArrays = { [Name in keyof Rows as Rows[Name]['triton']]: ElementArrays[Name] };

export type Datatype = keyof DatatypeArrays;

/** A type with elements of one size, by the protocol's name; undefined for BYTES and unknown types. */
export function fixedType(datatype: string): FixedTypeName | undefined {
  const type = elementTypeNamed('triton', datatype);
  return type === 'string' ? undefined : type;
}

/** Bytes of a tensor; undefined for BYTES and unknown types, whose size does not follow from their shape. */
export function byteSizeOf(datatype: string, shape: readonly number[]): number | undefined {
  const type = fixedType(datatype);
  return type && elementCount(shape) * bytesPerElement(type);
}

/** The element type of a Triton tensor. Throws UNIMPLEMENTED for one that no stage uses. */
export function dataTypeOf(tritonType: string): DataType {
  const type = elementTypeNamed('triton', tritonType);
  if (!isDataType(type)) {
    const known = dataTypes.map((each) => elementTypes[each].triton).join(', ');
    throw new FusionError(Status.UNIMPLEMENTED, `tensor type must be one of ${known} (got ${tritonType})`);
  }
  return type;
}
