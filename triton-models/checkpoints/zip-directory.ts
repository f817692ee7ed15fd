import { brokenCheckpoint } from './checkpoint.ts';
import type { CheckpointFile } from './checkpoint-file.ts';

/** Location of an entry's bytes, which are uncompressed and can be read in place. */
export interface ZipEntry {
  /** Offset in the file, in bytes. */
  offset: number;
  length: number;
}

const signatures = { localHeader: 0x04034b50, directoryEntry: 0x02014b50, end: 0x06054b50, zip64: 0x06064b50 };
const zip64LocatorSignature = 0x07064b50;
const endLength = 22;
/** Of a record of the central directory, without its name, extra field and comment. */
const fixedLength = 46;
const zip64LocatorLength = 20;
const maxComment = 0xffff;
/** How far from the end of the file an end record is looked for to explain what is wrong, bytes. */
const maxStray = 16 << 20;
// A PyTorch file of a hundred thousand tensors has about 10 MB.
const maxDirectory = 256_000_000;

/**
 * Lists the entries of a zip file (APPNOTE 6.3, including Zip64) from its central directory. Throws
 * FAILED_PRECONDITION, naming the file and the entry, if the file is truncated or an entry is compressed, encrypted,
 * duplicate or out of bounds.
 */
export async function readZipDirectory(file: CheckpointFile, format: string): Promise<Map<string, ZipEntry>> {
  const broken = (fault: string) => brokenCheckpoint(file.path, format, fault);
  const { offset, records } = await readRecords(file, broken);
  const entries = new Map<string, ZipEntry>();
  for (const record of records) {
    const entry = parseEntry(record, broken);
    if (entries.has(entry.name)) {
      throw broken(`${entry.name}: stored twice`);
    }
    const start = await dataStart(file, entry, broken);
    if (start + entry.length > offset) {
      throw broken(`${entry.name}: ends at byte ${start + entry.length}, but the directory starts at ${offset}`);
    }
    entries.set(entry.name, { offset: start, length: entry.length });
  }
  return entries;
}

/** Names of a zip file's entries, whether they can be read or not. Throws FAILED_PRECONDITION for a truncated file. */
export async function readZipNames(file: CheckpointFile, format: string): Promise<string[]> {
  const { records } = await readRecords(file, (fault) => brokenCheckpoint(file.path, format, fault));
  return records.map(nameIn);
}

type Broken = (fault: string) => Error;

interface Directory {
  offset: number;
  length: number;
  count: number;
}

/** The records of the central directory, and where it starts in the file. */
async function readRecords(file: CheckpointFile, broken: Broken): Promise<{ offset: number; records: Buffer[] }> {
  const { offset, length, count } = await findDirectory(file, broken);
  if (length > maxDirectory || offset + length > file.size) {
    throw broken(`its directory of ${length} bytes at byte ${offset} does not fit into ${file.size}: cut short`);
  }
  const directory = await file.read(offset, length);
  const records: Buffer[] = [];
  let position = 0;
  for (let i = 0; i < count; i++) {
    if (position + fixedLength > length || directory.readUInt32LE(position) !== signatures.directoryEntry) {
      throw broken(`its directory ends at entry ${i} of ${count}`);
    }
    const end = position + fixedLength + variableLength(directory.subarray(position));
    if (end > length) {
      throw broken('its directory ends inside an entry');
    }
    records.push(directory.subarray(position, end));
    position = end;
  }
  return { offset, records };
}

/** Length of a record's name, extra field and comment. */
function variableLength(record: Buffer): number {
  return record.readUInt16LE(28) + record.readUInt16LE(30) + record.readUInt16LE(32);
}

function nameIn(record: Buffer): string {
  return record.toString('utf8', fixedLength, fixedLength + record.readUInt16LE(28));
}

/**
 * The end record comes last, followed only by a comment of unknown length. Like PyTorch's reader, this skips trailing
 * bytes and takes the last record that directly follows its directory.
 */
async function findDirectory(file: CheckpointFile, broken: Broken): Promise<Directory> {
  const tailStart = Math.max(0, file.size - endLength - maxComment);
  const tail = await file.read(tailStart, file.size - tailStart);
  for (let at = tail.length - endLength; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== signatures.end) {
      continue;
    }
    const count = tail.readUInt16LE(at + 10);
    const length = tail.readUInt32LE(at + 12);
    const offset = tail.readUInt32LE(at + 16);
    if (count === 0xffff || length === 0xffffffff || offset === 0xffffffff) {
      return await findZip64Directory(file, tailStart + at, broken);
    }
    if (offset + length <= tailStart + at) {
      return { offset, length, count };
    }
  }
  throw broken((await strayBytes(file)) ?? 'it has no end record: cut short');
}

/**
 * What follows an end record that is too far from the end, where no program looks for it: PyTorch gives up after 64 KiB as
 * well. `undefined` if there is none.
 */
async function strayBytes(file: CheckpointFile): Promise<string | undefined> {
  const start = Math.max(0, file.size - maxStray);
  const tail = await file.read(start, file.size - start);
  const signature = Buffer.alloc(4);
  signature.writeUInt32LE(signatures.end);
  const at = tail.lastIndexOf(signature);
  const end = start + at + endLength;
  return at < 0 || file.size - end <= maxComment
    ? undefined
    : `${file.size - end} bytes follow its end at byte ${end}, of which at most ${maxComment} are allowed: remove them`;
}

async function findZip64Directory(file: CheckpointFile, endPosition: number, broken: Broken): Promise<Directory> {
  const locatorPosition = endPosition - zip64LocatorLength;
  const locator = locatorPosition < 0 ? undefined : await file.read(locatorPosition, zip64LocatorLength);
  if (locator?.readUInt32LE(0) !== zip64LocatorSignature) {
    throw broken('it has no Zip64 locator, which a file of this size needs');
  }
  const position = toNumber(locator.readBigUInt64LE(8), broken);
  const record = position + 56 > file.size ? undefined : await file.read(position, 56);
  if (record?.readUInt32LE(0) !== signatures.zip64) {
    throw broken('its Zip64 end record is not where the locator says');
  }
  return {
    count: toNumber(record.readBigUInt64LE(32), broken),
    length: toNumber(record.readBigUInt64LE(40), broken),
    offset: toNumber(record.readBigUInt64LE(48), broken),
  };
}

interface DirectoryEntry {
  name: string;
  length: number;
  headerOffset: number;
}

/** One record of the central directory. */
function parseEntry(bytes: Buffer, broken: Broken): DirectoryEntry {
  const extraStart = fixedLength + bytes.readUInt16LE(28);
  const name = nameIn(bytes);
  if (bytes.readUInt16LE(8) & 1) {
    throw broken(`${name}: must not be encrypted`);
  }
  const method = bytes.readUInt16LE(10);
  if (method !== 0) {
    throw broken(`${name}: must be stored uncompressed (got method ${method})`);
  }
  // The Zip64 field contains only the sizes that do not fit into four bytes, in this order.
  const wide = zip64Values(bytes.subarray(extraStart, extraStart + bytes.readUInt16LE(30)));
  const value = (position: number) => {
    const narrow = bytes.readUInt32LE(position);
    if (narrow !== 0xffffffff) {
      return narrow;
    }
    const next = wide.shift();
    if (next === undefined) {
      throw broken(`${name}: its Zip64 field is missing`);
    }
    return toNumber(next, broken);
  };
  const length = value(24);
  const storedLength = value(20);
  if (length !== storedLength) {
    throw broken(`${name}: ${storedLength} bytes stored of ${length}`);
  }
  return { name, length, headerOffset: value(42) };
}

function zip64Values(extra: Buffer): bigint[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) === 1) {
      const end = Math.min(at + 4 + extra.readUInt16LE(at + 2), extra.length);
      return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, i) => extra.readBigUInt64LE(at + 4 + 8 * i));
    }
  }
  return [];
}

/** An entry's bytes follow its local header, whose extra field may be longer than the directory's. */
async function dataStart(file: CheckpointFile, entry: DirectoryEntry, broken: Broken): Promise<number> {
  const header = entry.headerOffset + 30 > file.size ? undefined : await file.read(entry.headerOffset, 30);
  if (header?.readUInt32LE(0) !== signatures.localHeader) {
    throw broken(`${entry.name}: no entry found at byte ${entry.headerOffset}`);
  }
  return entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
}

function toNumber(value: bigint, broken: Broken): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw broken(`a position of ${value} is announced`);
  }
  return Number(value);
}
