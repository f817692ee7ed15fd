import { open } from 'node:fs/promises';
import { byteLength } from './checkpoint.ts';
import type { ElementType } from './element-types.ts';

/** A tensor of a file to be written. */
interface PlannedTensor {
  dataType: ElementType;
  shape: readonly number[];
}

/**
 * Writes a file of these tensors, one after the other in this order: `bytesOf` gives each one's bytes, little-endian,
 * whole or in pieces, when its turn comes.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, PlannedTensor>,
  bytesOf: (name: string) => Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(headerOf(tensors));
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

function headerOf(tensors: ReadonlyMap<string, PlannedTensor>): Uint8Array {
  let position = 0;
  const entries: Record<string, unknown> = {};
  for (const [name, { dataType, shape }] of tensors) {
    const end = position + byteLength(dataType, shape);
    entries[name] = { dtype: dataType, shape, data_offsets: [position, end] };
    position = end;
  }
  const text = Buffer.from(JSON.stringify(entries));
  // Padded with spaces so that float32 tensors are aligned.
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);
  return header;
}
