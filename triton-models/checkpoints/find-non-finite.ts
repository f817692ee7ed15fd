import type { StoredTensor } from './checkpoint.ts';
import { tensorBytes } from './tensor-bytes.ts';
import type { ParameterType } from './weights.ts';

/**
 * Bit masks for one or two elements per 32-bit word: the exponents, and the carry out of each exponent with all bits
 * set, which means NaN or infinity.
 */
const exponents: Record<ParameterType, { mask: number; step: number; carry: number; bytes: 2 | 4 }> = {
  F32: { mask: 0x7f800000, step: 0x00800000, carry: 0x80000000, bytes: 4 },
  F16: { mask: 0x7c007c00, step: 0x04000400, carry: 0x80008000, bytes: 2 },
  BF16: { mask: 0x7f807f80, step: 0x00800080, carry: 0x80008000, bytes: 2 },
};

/**
 * Row-major index of the first element that is NaN or infinite; undefined if all are finite.
 *
 * @param room as for {@link tensorBytes}
 */
export async function findNonFinite(
  stored: StoredTensor,
  room: Buffer<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const type = stored.dataType as ParameterType;
  let elements = 0;
  for await (const piece of tensorBytes(stored, room)) {
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
    // Branch-free, so that it runs at memory speed.
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
