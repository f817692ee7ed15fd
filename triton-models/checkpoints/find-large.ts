import type { StoredTensor } from './checkpoint.ts';
import { tensorBytes } from './tensor-bytes.ts';
import type { ParameterType } from './weights.ts';

/** Bits of the smallest magnitude that becomes infinite in another type, by the type stored; NaN is larger. */
const limits: Record<ParameterType, Record<ParameterType, number>> = {
  F32: { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 },
  F16: { F32: 0x477ff000, F16: 0x7c00, BF16: 0x4780 },
  BF16: { F32: 0x7f7f8000, F16: 0x7c00, BF16: 0x7f80 },
};

/**
 * Row-major index of the first element that is NaN, infinite, or becomes infinite when it is converted to `wanted`;
 * undefined if there is none.
 *
 * @param room as for {@link tensorBytes}
 */
export async function findLarge(
  stored: StoredTensor,
  wanted: ParameterType,
  room: Buffer<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const type = stored.dataType as ParameterType;
  let elements = 0;
  for await (const piece of tensorBytes(stored, room)) {
    signal?.throwIfAborted();
    const at = largeAt(piece, type, wanted);
    if (at !== undefined) {
      return elements + at;
    }
    elements += piece.byteLength / (type === 'F32' ? 4 : 2);
  }
  return undefined;
}

/** The same for elements in memory. */
export function largeAt(piece: Uint8Array, type: ParameterType, wanted: ParameterType): number | undefined {
  const limit = limits[wanted][type];
  const bytes = type === 'F32' ? 4 : 2;
  const isAligned = piece.byteOffset % 4 === 0 && piece.byteLength % 4 === 0;
  if (isAligned) {
    // Adding this to a magnitude carries into its sign bit if it reaches the limit. A word holds one or two elements.
    const [mask, step, carry] =
      bytes === 4 ? [0x7fffffff, 0x80000000 - limit, 0x80000000] : [0x7fff7fff, (0x8000 - limit) * 0x10001, 0x80008000];
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
    const magnitude = bytes === 4 ? view.getUint32(at, true) & 0x7fffffff : view.getUint16(at, true) & 0x7fff;
    if (magnitude >= limit) {
      return at / bytes;
    }
  }
  return undefined;
}
