import { brokenCheckpoint, byteLength, type Checkpoint, type StoredTensor } from './checkpoint.ts';
import { withCheckpointFile } from './checkpoint-file.ts';
import { bytesPerElement, type ElementType } from './element-types.ts';

/** What a safetensors file holds. */
export type Safetensors = Checkpoint;

const format = 'safetensors file';
// The limit that the format's own reader has.
const maxHeaderLength = 100_000_000;

/**
 * Reads the header of a safetensors file. Throws NOT_FOUND when there is no such file and FAILED_PRECONDITION, naming
 * the file and the tensor, when it is cut short, not of this format, or its tensors overlap or leave the file.
 */
export function readSafetensors(path: string): Promise<Safetensors> {
  return withCheckpointFile(path, format, async (file) => {
    const headerLength = Number((await file.read(0, 8)).readBigUInt64LE());
    if (headerLength > maxHeaderLength || 8 + headerLength > file.size) {
      throw broken(
        path,
        `a header of ${headerLength} bytes is announced in a file of ${file.size}: cut short, or no such file`,
      );
    }
    const header = parseHeader(path, (await file.read(8, headerLength)).toString('utf8'));
    const tensors = new Map<string, StoredTensor>();
    for (const [name, entry] of Object.entries(header)) {
      if (name !== '__metadata__') {
        tensors.set(name, checkEntry(path, name, entry, 8 + headerLength, file.size));
      }
    }
    rejectOverlaps(path, tensors);
    return { path, tensors };
  });
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

function checkEntry(path: string, name: string, entry: unknown, dataStart: number, fileSize: number): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesPerElement, dtype)) {
    const known = Object.keys(bytesPerElement).join(', ');
    throw broken(path, `${name}: element type ${JSON.stringify(dtype)} given, allowed: ${known}`);
  }
  const dataType = dtype as ElementType;
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw broken(path, `${name}: shape ${JSON.stringify(shape)} given, allowed: a list of sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw broken(path, `${name}: data_offsets ${JSON.stringify(offsets)} given, allowed: [begin, end]`);
  }
  const [begin, end] = offsets as [number, number];
  const length = byteLength(dataType, shape);
  if (end - begin !== length) {
    throw broken(path, `${name}: ${end - begin} bytes given, ${dataType} [${shape}] takes ${length}`);
  }
  if (dataStart + end > fileSize) {
    throw broken(path, `${name}: ends at byte ${dataStart + end} of a file of ${fileSize}: cut short`);
  }
  return { file: path, dataType, shape, offset: dataStart + begin, length };
}

function rejectOverlaps(path: string, tensors: ReadonlyMap<string, StoredTensor>): void {
  const inOrder = [...tensors].filter(([, { length }]) => length > 0).sort(([, a], [, b]) => a.offset - b.offset);
  for (let i = 1; i < inOrder.length; i++) {
    const [[before, first], [after, second]] = [inOrder[i - 1]!, inOrder[i]!];
    if (first.offset + first.length > second.offset) {
      throw broken(path, `${before} and ${after} overlap`);
    }
  }
}

const broken = (path: string, fault: string) => brokenCheckpoint(path, format, fault);

/** The bytes of one tensor of the file, in memory of their own. */
export async function readTensorBytes(checkpoint: Safetensors, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const stored = checkpoint.tensors.get(name);
  if (stored === undefined) {
    throw broken(checkpoint.path, `${name}: no such tensor`);
  }
  return withCheckpointFile(stored.file, format, async (file) => {
    return new Uint8Array(await file.read(stored.offset, stored.length));
  });
}
