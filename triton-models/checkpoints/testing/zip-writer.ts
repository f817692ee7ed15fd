import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** An entry to store: bytes, or a number of zeros that occupy no disk space. */
export interface ZipInput {
  name: string;
  content: Uint8Array | { zeros: number };
}

export interface ZipOptions {
  /** Writes Zip64 records even where they are not needed. */
  zip64?: boolean;
  /** Alignment of the contents, as in PyTorch's files. */
  alignment?: number;
}

/** Writes a zip file of stored entries, as PyTorch's own writer lays them out. */
export async function writeZip(path: string, entries: readonly ZipInput[], options: ZipOptions = {}): Promise<void> {
  const { zip64 = false, alignment = 64 } = options;
  const file = await open(path, 'w');
  try {
    const directory: Buffer[] = [];
    let position = 0;
    for (const { name, content } of entries) {
      const length = 'zeros' in content ? content.zeros : content.byteLength;
      const crc = 'zeros' in content ? 0 : crc32(content);
      const fields = { name, length, crc, offset: position, wide: zip64 || length >= 0xffffffff };
      const header = localHeader(fields, position, alignment);
      await file.write(header, 0, header.length, position);
      position += header.length;
      if (!('zeros' in content)) {
        await file.write(content, 0, length, position);
      }
      position += length;
      directory.push(directoryEntry({ ...fields, wide: fields.wide || fields.offset >= 0xffffffff }));
    }
    await writeEnd(file, position, Buffer.concat(directory), entries.length, zip64);
  } finally {
    await file.close();
  }
}

interface EntryFields {
  name: string;
  length: number;
  crc: number;
  offset: number;
  /** Whether lengths and offset are in a Zip64 field. */
  wide: boolean;
}

function localHeader({ name, length, crc, wide }: EntryFields, position: number, alignment: number): Buffer {
  const wideField = wide ? zip64Field([length, length]) : Buffer.alloc(0);
  const unpadded = position + 30 + Buffer.byteLength(name) + wideField.length + 4;
  const padding = Buffer.alloc(4 + ((alignment - (unpadded % alignment)) % alignment));
  padding.write('FB', 'latin1');
  padding.writeUInt16LE(padding.length - 4, 2);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt32LE(crc, 14);
  header.writeUInt32LE(wide ? 0xffffffff : length, 18);
  header.writeUInt32LE(wide ? 0xffffffff : length, 22);
  header.writeUInt16LE(Buffer.byteLength(name), 26);
  header.writeUInt16LE(wideField.length + padding.length, 28);
  return Buffer.concat([header, Buffer.from(name), wideField, padding]);
}

function directoryEntry({ name, length, crc, offset, wide }: EntryFields): Buffer {
  const wideField = wide ? zip64Field([length, length, offset]) : Buffer.alloc(0);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt32LE(crc, 16);
  entry.writeUInt32LE(wide ? 0xffffffff : length, 20);
  entry.writeUInt32LE(wide ? 0xffffffff : length, 24);
  entry.writeUInt16LE(Buffer.byteLength(name), 28);
  entry.writeUInt16LE(wideField.length, 30);
  entry.writeUInt32LE(wide ? 0xffffffff : offset, 42);
  return Buffer.concat([entry, Buffer.from(name), wideField]);
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, i) => {
    field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  });
  return field;
}

async function writeEnd(
  file: FileHandle,
  offset: number,
  directory: Buffer,
  count: number,
  zip64: boolean,
): Promise<void> {
  const wide = zip64 || offset >= 0xffffffff || count >= 0xffff;
  const record = Buffer.alloc(wide ? 76 : 0);
  if (wide) {
    record.writeUInt32LE(0x06064b50, 0);
    record.writeBigUInt64LE(44n, 4);
    record.writeBigUInt64LE(BigInt(count), 24);
    record.writeBigUInt64LE(BigInt(count), 32);
    record.writeBigUInt64LE(BigInt(directory.length), 40);
    record.writeBigUInt64LE(BigInt(offset), 48);
    record.writeUInt32LE(0x07064b50, 56);
    record.writeBigUInt64LE(BigInt(offset + directory.length), 64);
    record.writeUInt32LE(1, 72);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(wide ? 0xffff : count, 8);
  end.writeUInt16LE(wide ? 0xffff : count, 10);
  end.writeUInt32LE(wide ? 0xffffffff : directory.length, 12);
  end.writeUInt32LE(wide ? 0xffffffff : offset, 16);
  const tail = Buffer.concat([directory, record, end]);
  await file.write(tail, 0, tail.length, offset);
}
