import { open } from 'node:fs/promises';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import { encodeHeader, type TensorEntry } from '../../services/pipeline/safetensors/layout.ts';

/**
 * Writes a file of these tensors, one after the other in this order: `bytesOf` gives each one's bytes, little-endian,
 * whole or in pieces, when its turn comes.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorEntry>,
  bytesOf: (name: string) => Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(encodeHeader(tensors));
    for (const [name, { dataType, shape }] of tensors) {
      const expected = byteLength(dataType, shape);
      let written = 0;
      for await (const piece of piecesOf(bytesOf(name))) {
        // In contrast to `write`, it goes on after a partial write.
        await file.writeFile(piece);
        written += piece.byteLength;
      }
      if (written !== expected) {
        throw new RangeError(`${name}: ${written} bytes given, ${expected} expected`);
      }
    }
  } finally {
    await file.close();
  }
}

function piecesOf(bytes: Uint8Array | AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> | Uint8Array[] {
  return ArrayBuffer.isView(bytes) ? [bytes] : bytes;
}
