import { open } from 'node:fs/promises';
import { byteLength } from '../../services/pipeline/safetensors/element-types.ts';
import { encodeHeader, type TensorEntry } from '../../services/pipeline/safetensors/layout.ts';

/**
 * Writes these tensors to a file, in order. `bytesOf` is called for each in turn and returns its little-endian bytes,
 * whole or in chunks.
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
        // Unlike `write`, it continues after a partial write.
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
