import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from '../../services/pipeline/half-floats.ts';
import type { ParameterType } from './weights.ts';

/** Converts a parameter's elements to another precision, rounding to nearest; too large numbers become infinite. */
export function convertElements(bytes: Uint8Array, from: ParameterType, to: ParameterType): Uint8Array {
  if (from === to) {
    return bytes;
  }
  const values = toFloat32(bytes, from);
  switch (to) {
    case 'F32':
      return bytesOf(values);
    case 'F16':
      return bytesOf(toFloat16(values));
    case 'BF16':
      return bytesOf(toBfloat16(values));
  }
}

/** A parameter's elements in float32, as a copy. */
export function toFloat32(bytes: Uint8Array, from: ParameterType): Float32Array {
  // A fresh copy is aligned.
  const { buffer } = new Uint8Array(bytes);
  switch (from) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return fromFloat16(new Uint16Array(buffer));
    case 'BF16':
      return fromBfloat16(new Uint16Array(buffer));
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);
