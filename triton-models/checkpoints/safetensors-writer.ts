import { open } from 'node:fs/promises';
import { bytesPerElement, type SafetensorsEntry, type SafetensorsType } from './safetensors.ts';

/** Writes a file of these tensors, one in memory at a time: `bytesOf` gives each, little-endian, when its turn comes. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, { dataType: SafetensorsType; shape: readonly number[] }>,
  bytesOf: (name: string) => Uint8Array,
): Promise<void> {
  const { header, entries } = planSafetensors(tensors);
  const file = await open(path, 'w');
  try {
    await file.write(header);
    for (const [name, { length }] of entries) {
      const bytes = bytesOf(name);
      if (bytes.byteLength !== length) {
        throw new RangeError(`${name}: ${bytes.byteLength} bytes given, ${length} expected`);
      }
      await file.write(bytes);
    }
  } finally {
    await file.close();
  }
}

/** Header of a file that will hold these tensors one after the other in this order, and where each will lie. */
function planSafetensors(tensors: ReadonlyMap<string, { dataType: SafetensorsType; shape: readonly number[] }>): {
  header: Uint8Array;
  entries: Map<string, SafetensorsEntry>;
} {
  let position = 0;
  const json: Record<string, unknown> = {};
  const lengths = new Map<string, number>();
  for (const [name, { dataType, shape }] of tensors) {
    const length = shape.reduce((product, size) => product * size, bytesPerElement[dataType]);
    json[name] = { dtype: dataType, shape, data_offsets: [position, position + length] };
    lengths.set(name, length);
    position += length;
  }
  const text = JSON.stringify(json);
  // Padded so that float32 tensors are aligned.
  const body = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const header = Buffer.alloc(8 + body.length);
  header.writeBigUInt64LE(BigInt(body.length));
  body.copy(header, 8);

  let offset = header.length;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, { dataType, shape }] of tensors) {
    const length = lengths.get(name)!;
    entries.set(name, { dataType, shape, offset, length });
    offset += length;
  }
  return { header, entries };
}
