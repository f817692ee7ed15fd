import { metadataOf, parseHeader } from '../../services/pipeline/safetensors/layout.ts';
import { brokenCheckpoint, type Checkpoint } from './checkpoint.ts';
import { type CheckpointFile, withCheckpointFile } from './checkpoint-file.ts';

/** The content of a safetensors file. */
export type Safetensors = Checkpoint;

const format = 'safetensors file';
/** Bytes; the limit of the format's reference implementation. */
export const maxHeaderLength = 100_000_000;

/**
 * Reads the header of a safetensors file. Throws NOT_FOUND if the file does not exist and FAILED_PRECONDITION, naming
 * the file and the tensor, if it is truncated, not of this format, or not filled exactly by its tensors.
 */
export function readSafetensors(path: string): Promise<Safetensors> {
  return withCheckpointFile(path, format, async (file) => {
    const header = await readHeader(file);
    try {
      const placed = parseHeader(header, 8 + header.length, file.size);
      return { path, tensors: new Map([...placed].map(([name, tensor]) => [name, { file: path, ...tensor }])) };
    } catch (error) {
      throw broken(path, (error as Error).message);
    }
  });
}

/** What a trainer wrote into the header beside the tensors. Throws like {@link readSafetensors}. */
export function readMetadata(path: string): Promise<Readonly<Record<string, string>>> {
  return withCheckpointFile(path, format, async (file) => metadataOf(await readHeader(file)));
}

async function readHeader(file: CheckpointFile): Promise<Buffer> {
  const announced = (await file.read(0, 8)).readBigUInt64LE();
  const headerLength = Number(announced);
  if (headerLength > maxHeaderLength || 8 + headerLength > file.size) {
    throw broken(
      file.path,
      `it announces a header of ${announced} bytes in a file of ${file.size}: cut short, or of another format`,
    );
  }
  return file.read(8, headerLength);
}

const broken = (path: string, fault: string) => brokenCheckpoint(path, format, fault);

/** The bytes of a tensor, in a fresh buffer. */
export async function readTensorBytes(checkpoint: Safetensors, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const stored = checkpoint.tensors.get(name);
  if (stored === undefined) {
    throw broken(checkpoint.path, `tensor ${name} not found`);
  }
  return withCheckpointFile(stored.file, format, async (file) => {
    return new Uint8Array(await file.read(stored.offset, stored.length));
  });
}
