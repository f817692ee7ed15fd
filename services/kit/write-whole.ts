import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';

/** The temporary name, next to `path`, of an unfinished file. */
export function partialName(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}.part`;
}

/** Lets `write` create a file under a temporary name, then renames it; removes it if that fails. Returns what `write` does. */
export async function writeWhole<T>(path: string, write: (partial: string) => Promise<T>): Promise<T> {
  const partial = partialName(path);
  try {
    const result = await write(partial);
    await rename(partial, path);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
