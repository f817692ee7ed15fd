import type { DataType as WireType } from '../../proto/gen/fusionframes/v1/tensor.ts';

/** An element type, with its name in every format that we read or write. */
interface ElementTypeRow {
  /** Array of the elements: the bits of half-precision types; for bool one byte each, 0 or 1. None for text. */
  readonly array?: ArrayType;
  /** Name in Triton's requests and responses. */
  readonly triton: string;
  /** In `config.pbtxt`. */
  readonly config: string;
  /** The field for typed contents in a Triton request. */
  readonly contents?: string;
  /** In ONNX files. */
  readonly onnx: string;
  readonly safetensors?: string;
  /** The storage class in PyTorch files. */
  readonly torch?: string;
  /** In messages between the stages. */
  readonly wire?: keyof typeof WireType;
}

type ArrayType =
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | BigInt64ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor
  | BigUint64ArrayConstructor
  | Float32ArrayConstructor
  | Float64ArrayConstructor;

/** Every supported element type, by its name in our code, which is also ONNX Runtime's. */
export const elementTypes = {
  bool: {
    array: Uint8Array,
    triton: 'BOOL',
    config: 'TYPE_BOOL',
    contents: 'boolContents',
    onnx: 'BOOL',
    safetensors: 'BOOL',
    torch: 'BoolStorage',
    wire: 'DATA_TYPE_BOOL',
  },
  int8: {
    array: Int8Array,
    triton: 'INT8',
    config: 'TYPE_INT8',
    contents: 'intContents',
    onnx: 'INT8',
    safetensors: 'I8',
    torch: 'CharStorage',
  },
  int16: {
    array: Int16Array,
    triton: 'INT16',
    config: 'TYPE_INT16',
    contents: 'intContents',
    onnx: 'INT16',
    safetensors: 'I16',
    torch: 'ShortStorage',
  },
  int32: {
    array: Int32Array,
    triton: 'INT32',
    config: 'TYPE_INT32',
    contents: 'intContents',
    onnx: 'INT32',
    safetensors: 'I32',
    torch: 'IntStorage',
  },
  int64: {
    array: BigInt64Array,
    triton: 'INT64',
    config: 'TYPE_INT64',
    contents: 'int64Contents',
    onnx: 'INT64',
    safetensors: 'I64',
    torch: 'LongStorage',
    wire: 'DATA_TYPE_INT64',
  },
  uint8: {
    array: Uint8Array,
    triton: 'UINT8',
    config: 'TYPE_UINT8',
    contents: 'uintContents',
    onnx: 'UINT8',
    safetensors: 'U8',
    torch: 'ByteStorage',
    wire: 'DATA_TYPE_UINT8',
  },
  uint16: {
    array: Uint16Array,
    triton: 'UINT16',
    config: 'TYPE_UINT16',
    contents: 'uintContents',
    onnx: 'UINT16',
    safetensors: 'U16',
  },
  uint32: {
    array: Uint32Array,
    triton: 'UINT32',
    config: 'TYPE_UINT32',
    contents: 'uintContents',
    onnx: 'UINT32',
    safetensors: 'U32',
  },
  uint64: {
    array: BigUint64Array,
    triton: 'UINT64',
    config: 'TYPE_UINT64',
    contents: 'uint64Contents',
    onnx: 'UINT64',
    safetensors: 'U64',
  },
  float16: {
    array: Uint16Array,
    triton: 'FP16',
    config: 'TYPE_FP16',
    onnx: 'FLOAT16',
    safetensors: 'F16',
    torch: 'HalfStorage',
  },
  bfloat16: {
    array: Uint16Array,
    triton: 'BF16',
    config: 'TYPE_BF16',
    onnx: 'BFLOAT16',
    safetensors: 'BF16',
    torch: 'BFloat16Storage',
  },
  float32: {
    array: Float32Array,
    triton: 'FP32',
    config: 'TYPE_FP32',
    contents: 'fp32Contents',
    onnx: 'FLOAT',
    safetensors: 'F32',
    torch: 'FloatStorage',
    wire: 'DATA_TYPE_FLOAT32',
  },
  float64: {
    array: Float64Array,
    triton: 'FP64',
    config: 'TYPE_FP64',
    contents: 'fp64Contents',
    onnx: 'DOUBLE',
    safetensors: 'F64',
    torch: 'DoubleStorage',
  },
  string: { triton: 'BYTES', config: 'TYPE_STRING', contents: 'bytesContents', onnx: 'STRING' },
} as const satisfies Record<string, ElementTypeRow>;

type Rows = typeof elementTypes;

export type ElementTypeName = keyof Rows;

/** Types with elements of a fixed size. */
export type FixedTypeName = Exclude<ElementTypeName, 'string'>;

/** The typed array of each type. */
export type ElementArrays = { [Name in FixedTypeName]: Rows[Name]['array']['prototype'] } & {
  string: readonly Uint8Array[];
};

type Format = Exclude<keyof ElementTypeRow, 'array' | 'contents'>;

/** The names that a format has for element types. */
export type NamesIn<F extends Format> = {
  [Name in ElementTypeName]: Rows[Name] extends Record<F, infer N> ? N : never;
}[ElementTypeName];

/** The types that a format supports. */
export type TypesIn<F extends Format> = {
  [Name in ElementTypeName]: Rows[Name] extends Record<F, string> ? Name : never;
}[ElementTypeName];

/** All types, in the order of the table. */
export const elementTypeNames = Object.keys(elementTypes) as ElementTypeName[];

/** The types that a format supports, in the order of the table. */
export function typesIn<F extends Format>(format: F): TypesIn<F>[] {
  return elementTypeNames.filter((name) => format in elementTypes[name]) as TypesIn<F>[];
}

/** The type with this name in a format; undefined if there is none. */
export function elementTypeNamed<F extends Format>(format: F, name: string): TypesIn<F> | undefined {
  return typesIn(format).find((type) => (elementTypes[type] as ElementTypeRow)[format] === name);
}

/** Size of an element in bytes. */
export function bytesPerElement(type: FixedTypeName): number {
  return elementTypes[type].array.BYTES_PER_ELEMENT;
}

/**
 * Views little-endian bytes as elements. Copies them only if they are not aligned to the element size, which is typical
 * of bytes fields in protobuf messages.
 */
export function elementsOf<T extends FixedTypeName>(type: T, bytes: Uint8Array): ElementArrays[T] {
  const View = elementTypes[type].array as new (buffer: ArrayBufferLike, offset: number, length: number) => unknown;
  const size = bytesPerElement(type);
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new View(aligned.buffer, aligned.byteOffset, bytes.byteLength / size) as ElementArrays[T];
}
