import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';

/** The temporary name, next to `path`, of an unfinished file. */
export function partialName(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}.part`;
}

/** Lets `write` create a file under a temporary name, then renames it; removes it if `write` fails. */
export async function writeWhole(path: string, write: (partial: string) => Promise<unknown>): Promise<void> {
  const partial = partialName(path);
  try {
    await write(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
