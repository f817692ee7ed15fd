import { type FileHandle, open } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** Element types of the format, by its names, and the bytes that an element takes. */
export const bytesPerElement = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type SafetensorsType = keyof typeof bytesPerElement;

export interface SafetensorsEntry {
  dataType: SafetensorsType;
  shape: readonly number[];
  /** Bytes from the start of the file. */
  offset: number;
  /** Number of bytes. */
  length: number;
}

/** What a safetensors file holds: its header, checked, without the tensors themselves. */
export interface Safetensors {
  path: string;
  tensors: ReadonlyMap<string, SafetensorsEntry>;
}

// The limit that the format's own reader has.
const maxHeaderLength = 100_000_000;

/**
 * Reads the header of a safetensors file. Throws NOT_FOUND when there is no such file and FAILED_PRECONDITION, naming
 * the file and the tensor, when it is cut short, not of this format, or its tensors overlap or leave the file.
 */
export async function readSafetensors(path: string): Promise<Safetensors> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const lengthBytes = await readAt(file, path, 0, 8);
    const headerLength = Number(lengthBytes.readBigUInt64LE());
    if (headerLength > maxHeaderLength || 8 + headerLength > size) {
      throw broken(
        path,
        `a header of ${headerLength} bytes is announced in a file of ${size}: cut short, or no such file`,
      );
    }
    const header = parseHeader(path, (await readAt(file, path, 8, headerLength)).toString('utf8'));
    const tensors = new Map<string, SafetensorsEntry>();
    for (const [name, entry] of Object.entries(header)) {
      if (name !== '__metadata__') {
        tensors.set(name, checkEntry(path, name, entry, 8 + headerLength, size));
      }
    }
    rejectOverlaps(path, tensors);
    return { path, tensors };
  } finally {
    await file.close();
  }
}

/** The bytes of one tensor of the file, in memory of their own. */
export async function readTensorBytes(checkpoint: Safetensors, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const entry = checkpoint.tensors.get(name);
  if (entry === undefined) {
    throw broken(checkpoint.path, `${name}: no such tensor`);
  }
  const file = await openFile(checkpoint.path);
  try {
    return new Uint8Array(await readAt(file, checkpoint.path, entry.offset, entry.length));
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new FusionError(
      missing ? Status.NOT_FOUND : Status.FAILED_PRECONDITION,
      missing
        ? `checkpoint: there is no file ${path}`
        : `checkpoint: ${path} can't be read: ${(error as Error).message}`,
      { reason: 'CHECKPOINT_UNREADABLE', field: 'checkpoint', cause: error },
    );
  }
}

async function readAt(file: FileHandle, path: string, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    // One read call takes at most 2 GiB.
    const count = Math.min(length - filled, 2 ** 30);
    const { bytesRead } = await file.read(buffer, filled, count, position + filled);
    if (bytesRead === 0) {
      throw broken(path, `it ends after ${position + filled} bytes: cut short`);
    }
    filled += bytesRead;
  }
  return buffer;
}

function parseHeader(path: string, text: string): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(text);
    if (typeof header === 'object' && header !== null && !Array.isArray(header)) {
      return header as Record<string, unknown>;
    }
  } catch (error) {
    throw broken(path, `its header is no JSON: ${(error as Error).message}`);
  }
  throw broken(path, 'its header is no JSON object');
}

function checkEntry(path: string, name: string, entry: unknown, dataStart: number, fileSize: number): SafetensorsEntry {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesPerElement, dtype)) {
    const known = Object.keys(bytesPerElement).join(', ');
    throw broken(path, `${name}: element type ${JSON.stringify(dtype)} given, allowed: ${known}`);
  }
  const dataType = dtype as SafetensorsType;
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw broken(path, `${name}: shape ${JSON.stringify(shape)} given, allowed: a list of sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw broken(path, `${name}: data_offsets ${JSON.stringify(offsets)} given, allowed: [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const length = shape.reduce((product, size) => product * size, bytesPerElement[dataType]);
  if (end - begin !== length) {
    throw broken(path, `${name}: ${end - begin} bytes given, ${dataType} [${shape}] takes ${length}`);
  }
  if (dataStart + end > fileSize) {
    throw broken(path, `${name}: ends at byte ${dataStart + end} of a file of ${fileSize}: cut short`);
  }
  return { dataType, shape, offset: dataStart + begin, length };
}

function rejectOverlaps(path: string, tensors: ReadonlyMap<string, SafetensorsEntry>): void {
  const inOrder = [...tensors].filter(([, { length }]) => length > 0).sort(([, a], [, b]) => a.offset - b.offset);
  for (let i = 1; i < inOrder.length; i++) {
    const [[before, first], [after, second]] = [inOrder[i - 1]!, inOrder[i]!];
    if (first.offset + first.length > second.offset) {
      throw broken(path, `${before} and ${after} overlap`);
    }
  }
}

function broken(path: string, fault: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `checkpoint: ${path} is not a sound safetensors file: ${fault}`, {
    reason: 'BROKEN_CHECKPOINT',
    field: 'checkpoint',
  });
}
