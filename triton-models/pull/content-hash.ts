import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { HubFile } from '../checkpoints/hub-file.ts';

/** A hash of the kind the hub reports for this file, to be fed with its content. */
export function startHash({ hash, size }: HubFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/** Feeds a file into a hash. */
export async function hashFile(
  path: string,
  hash: Hash,
  onBytes: (count: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    signal?.throwIfAborted();
    hash.update(piece);
    onBytes(piece.length);
  }
}
