import { type FileHandle, open, stat } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { brokenCheckpoint } from './checkpoint.ts';

// One read call takes at most 2 GiB.
const largestRead = 2 ** 30;

/** A file of a checkpoint that is open for reading. */
export interface CheckpointFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Reads exactly these bytes, into the start of `room` if given. Throws FAILED_PRECONDITION if the file is shorter. */
  read(position: number, length: number, room?: Buffer<ArrayBuffer>): Promise<Buffer<ArrayBuffer>>;
}

/**
 * Opens a checkpoint file for the duration of `use`. Throws NOT_FOUND if it does not exist and FAILED_PRECONDITION if
 * it cannot be read; `format` is the expected format, for messages.
 */
export async function withCheckpointFile<T>(
  path: string,
  format: string,
  use: (file: CheckpointFile) => Promise<T>,
): Promise<T> {
  const handle = await openFile(path);
  try {
    const { size } = await handle.stat();
    const read: CheckpointFile['read'] = async (position, length, room = Buffer.alloc(length)) => {
      const target = room.subarray(0, length);
      await readExactly(handle, path, format, position, target);
      return target;
    };
    return await use({ path, size, read });
  } finally {
    await handle.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const stats = await stat(path);
    // Opening a pipe would wait for its writer.
    if (!stats.isFile()) {
      throw new Error(stats.isDirectory() ? 'it is a folder' : 'it is not a regular file');
    }
    return await open(path);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new FusionError(
      missing ? Status.NOT_FOUND : Status.FAILED_PRECONDITION,
      missing ? `checkpoint: file ${path} not found` : `checkpoint: ${path} can't be read: ${reasonOf(error)}`,
      { reason: 'CHECKPOINT_UNREADABLE', field: 'checkpoint', cause: error },
    );
  }
}

async function readExactly(
  handle: FileHandle,
  path: string,
  format: string,
  position: number,
  target: Buffer,
): Promise<void> {
  let filled = 0;
  while (filled < target.length) {
    const count = Math.min(target.length - filled, largestRead);
    const { bytesRead } = await handle.read(target, filled, count, position + filled);
    if (bytesRead === 0) {
      throw brokenCheckpoint(path, format, `it ends after ${position + filled} bytes: cut short`);
    }
    filled += bytesRead;
  }
}
