import { Status } from 'nice-grpc-common';
import { FusionError } from '../../kit/errors.ts';
import { type DataType, elementCount } from '../../pipeline/tensor.ts';

/** The protocol's element types, with what holds their elements. */
export interface DatatypeArrays {
  /** One byte an element, 0 or 1. */
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  /** The bits of half-precision numbers. */
  FP16: Uint16Array;
  /** The bits of bfloat16 numbers. */
  BF16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  /** Texts or anything else of any length. */
  BYTES: readonly Uint8Array[];
}

export type Datatype = keyof DatatypeArrays;

type NumericDatatype = Exclude<Datatype, 'BYTES'>;
type NumericArray = DatatypeArrays[NumericDatatype];
type ArrayType = {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
  BYTES_PER_ELEMENT: number;
};

/** The array types of all types with elements of one size. */
export const arrayTypes: Record<NumericDatatype, ArrayType> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Bytes of a tensor; undefined for BYTES and unknown types, whose size is no matter of their shape. */
export function byteSizeOf(datatype: string, shape: readonly number[]): number | undefined {
  const Elements = arrayTypes[datatype as NumericDatatype] as ArrayType | undefined;
  return Elements && elementCount(shape) * Elements.BYTES_PER_ELEMENT;
}

/** The protocol's names of the element types that the stages use. */
export const tritonTypes = { float32: 'FP32', int64: 'INT64', bool: 'BOOL', uint8: 'UINT8' } as const satisfies Record<
  DataType,
  Datatype
>;

/** The element type of a Triton tensor. Throws UNIMPLEMENTED for one that no stage uses. */
export function dataTypeOf(tritonType: string): DataType {
  const found = Object.entries(tritonTypes).find(([, name]) => name === tritonType);
  if (!found) {
    throw new FusionError(
      Status.UNIMPLEMENTED,
      `tensor type ${tritonType} is not used here, known: ${Object.values(tritonTypes).join(', ')}`,
    );
  }
  return found[0] as DataType;
}
