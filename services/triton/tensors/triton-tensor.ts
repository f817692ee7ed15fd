import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords } from '../../kit/errors.ts';
import { decodeBytesElements, encodeBytesElements } from '../../pipeline/bytes-elements.ts';
import { elementsOf, elementTypes } from '../../pipeline/element-types.ts';
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from '../../pipeline/half-floats.ts';
import { byteSize, elementCount, type Tensor } from '../../pipeline/tensor.ts';
import { type Datatype, type DatatypeArrays, dataTypeOf, fixedType } from './datatypes.ts';

/** A dense tensor of any type of the protocol, row-major. Stages exchange the pipeline's `Tensor`. */
export type TritonTensor = {
  [D in Datatype]: { readonly datatype: D; readonly shape: readonly number[]; readonly data: DatatypeArrays[D] };
}[Datatype];

/** A tensor over `data`, which is not copied. Throws INVALID_ARGUMENT if its length does not match the shape. */
export function tritonTensor<D extends Datatype>(
  datatype: D,
  shape: readonly number[],
  data: DatatypeArrays[D],
): TritonTensor & { datatype: D } {
  const expected = elementCount(shape);
  if (data.length !== expected) {
    throw invalidField('tensor data', inWords(`${data.length} elements`), `${expected} elements for shape [${shape}]`);
  }
  return { datatype, shape, data } as unknown as TritonTensor & { datatype: D };
}

/** Numbers as a tensor of a floating-point type; FP16 and BF16 round to the nearest. */
export function floatTensor(
  datatype: 'FP16' | 'BF16' | 'FP32',
  shape: readonly number[],
  values: Float32Array,
): TritonTensor {
  switch (datatype) {
    case 'FP16':
      return tritonTensor(datatype, shape, toFloat16(values));
    case 'BF16':
      return tritonTensor(datatype, shape, toBfloat16(values));
    case 'FP32':
      return tritonTensor(datatype, shape, values);
  }
}

/** The numbers of an FP16, BF16 or FP32 tensor. Throws INVALID_ARGUMENT for another type. */
export function toFloat32({ datatype, data }: TritonTensor): Float32Array {
  switch (datatype) {
    case 'FP16':
      return fromFloat16(data);
    case 'BF16':
      return fromBfloat16(data);
    case 'FP32':
      return data;
    default:
      throw invalidField('datatype', datatype, 'one of FP16, BF16, FP32');
  }
}

/** Strings as a BYTES tensor in UTF-8. */
export function textTensor(shape: readonly number[], texts: readonly string[]): TritonTensor {
  const encoder = new TextEncoder();
  return tritonTensor(
    'BYTES',
    shape,
    texts.map((text) => encoder.encode(text)),
  );
}

/** The strings of a BYTES tensor. Throws INVALID_ARGUMENT for another type or bytes that are not UTF-8. */
export function toTexts({ datatype, data }: TritonTensor): string[] {
  if (datatype !== 'BYTES') {
    throw invalidField('datatype', datatype, 'BYTES');
  }
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return data.map((element, index) => {
    try {
      return decoder.decode(element);
    } catch {
      throw invalidField(`element ${index}`, inWords('bytes that are not UTF-8'), 'UTF-8 text');
    }
  });
}

/** The elements in wire form, little-endian; only BYTES are copied. */
export function encodeTensor({ datatype, data }: TritonTensor): Uint8Array {
  return datatype === 'BYTES'
    ? encodeBytesElements(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * A tensor over elements in wire form, copied only if they are not aligned. Throws INTERNAL naming the tensor if they do not
 * match the shape, and UNIMPLEMENTED for an unknown type.
 */
export function decodeTensor(
  name: string,
  datatype: string,
  shape: readonly number[],
  bytes: Uint8Array,
): TritonTensor {
  const given = `${name}: ${bytes.byteLength} bytes for ${datatype} [${shape}]`;
  if (datatype === 'BYTES') {
    const data = decodeBytesElements(bytes);
    if (data.length !== elementCount(shape)) {
      throw new FusionError(Status.INTERNAL, `${given} hold ${data.length} elements`);
    }
    return { datatype, shape, data };
  }
  const type = fixedType(datatype);
  if (type === undefined) {
    throw new FusionError(Status.UNIMPLEMENTED, `${name}: unknown tensor type ${datatype}`);
  }
  if (bytes.byteLength !== byteSize(type, shape)) {
    throw new FusionError(Status.INTERNAL, given);
  }
  return { datatype, shape, data: elementsOf(type, bytes) } as TritonTensor;
}

/** A stage's tensor in the protocol's terms; the data are shared. */
export function fromTensor({ dataType, shape, data }: Tensor): TritonTensor {
  return { datatype: elementTypes[dataType].triton, shape, data } as TritonTensor;
}

/** A tensor in the stages' terms; the data are shared. Throws UNIMPLEMENTED for a type that no stage uses. */
export function toTensor({ datatype, shape, data }: TritonTensor): Tensor {
  return { dataType: dataTypeOf(datatype), shape, data } as Tensor;
}
