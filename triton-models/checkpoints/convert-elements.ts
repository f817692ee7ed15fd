import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { fromBfloat16, fromFloat16, toFloat16 } from '../../services/pipeline/half-floats.ts';
import type { ParameterType } from './weights.ts';

/**
 * Converts a parameter's elements to another precision, rounding to nearest. Throws FAILED_PRECONDITION for a number
 * beyond the range of float16.
 */
export function convertElements(
  name: string,
  bytes: Uint8Array,
  from: ParameterType,
  to: Exclude<ParameterType, 'BF16'>,
): Uint8Array {
  if (from === to) {
    return bytes;
  }
  const values = toFloat32(bytes, from);
  if (to === 'F32') {
    return bytesOf(values);
  }
  const halves = toFloat16(values);
  const lost = halves.findIndex((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(values[i]));
  if (lost >= 0) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${name}: ${values[lost]} does not fit float16 (-65504 to 65504)`,
      { reason: 'CHECKPOINT_MISMATCH', field: 'checkpoint' },
    );
  }
  return bytesOf(halves);
}

function toFloat32(bytes: Uint8Array, from: ParameterType): Float32Array {
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
