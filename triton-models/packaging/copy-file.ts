import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { sha256OfFile } from '../../services/kit/file-hashes.ts';

/**
 * Copies a file, so that later changes to the original do not affect the copy: a training loop that rewrites its
 * checkpoint would truncate the file under a running server. On copy-on-write file systems (Btrfs, XFS, APFS) the copy
 * takes no space. Returns the SHA-256 of the copy.
 *
 * @param target a path that does not exist yet
 */
export async function copyFileApart(
  source: string,
  target: string,
  { onBytes, signal }: { onBytes?: (count: number) => void; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const isShared = await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST' || error.code === 'ENOENT') {
        throw error;
      }
      return false;
    },
  );
  return isShared ? await sha256OfFile(target, onBytes, signal) : await copyBytes(source, target, onBytes, signal);
}

async function copyBytes(
  source: string,
  target: string,
  onBytes: (count: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(target, 'w');
  try {
    for await (const piece of createReadStream(source, { highWaterMark: 2 ** 20 })) {
      signal?.throwIfAborted();
      hash.update(piece);
      // Unlike `write`, it continues after a partial write.
      await file.writeFile(piece);
      onBytes(piece.length);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
