import type { StoredTensor } from './checkpoint.ts';
import { tensorBytes } from './tensor-bytes.ts';
import type { ParameterType } from './weights.ts';

/**
 * Bits of one or two elements in 32: those of the exponents, and what carries out of each exponent whose bits are all
 * ones, which means NaN or infinity.
 */
const exponents: Record<ParameterType, { mask: number; step: number; carry: number; bytes: 2 | 4 }> = {
  F32: { mask: 0x7f800000, step: 0x00800000, carry: 0x80000000, bytes: 4 },
  F16: { mask: 0x7c007c00, step: 0x04000400, carry: 0x80008000, bytes: 2 },
  BF16: { mask: 0x7f807f80, step: 0x00800080, carry: 0x80008000, bytes: 2 },
};

/** Index of the first element that is NaN or infinite, in row-major order; undefined when all are finite. */
export async function findNonFinite(stored: StoredTensor, signal?: AbortSignal): Promise<number | undefined> {
  const type = stored.dataType as ParameterType;
  let elements = 0;
  for await (const piece of tensorBytes(stored)) {
    signal?.throwIfAborted();
    const at = nonFiniteAt(piece, type);
    if (at !== undefined) {
      return elements + at;
    }
    elements += piece.byteLength / exponents[type].bytes;
  }
  return undefined;
}

/** The same for elements in memory. */
export function nonFiniteAt(piece: Uint8Array, type: ParameterType): number | undefined {
  const { mask, step, carry, bytes } = exponents[type];
  const isAligned = piece.byteOffset % 4 === 0 && piece.byteLength % 4 === 0;
  if (isAligned) {
    const words = new Uint32Array(piece.buffer, piece.byteOffset, piece.byteLength / 4);
    // Without a branch for each, so that it goes as fast as memory.
    let carries = 0;
    for (let i = 0; i < words.length; i++) {
      carries |= ((words[i]! & mask) + step) | 0;
    }
    if ((carries & carry) === 0) {
      return undefined;
    }
  }
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at < piece.byteLength; at += bytes) {
    const bits = bytes === 4 ? view.getUint32(at, true) : view.getUint16(at, true);
    if (((bits & mask) + step) & carry & (bytes === 4 ? 0x80000000 : 0x8000)) {
      return at / bytes;
    }
  }
  return undefined;
}
