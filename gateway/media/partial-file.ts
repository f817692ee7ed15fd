import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';

/** A name beside `path` under which a file is written until it is complete. */
export function partialName(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}.part`;
}

/** Has `write` make a file under a partial name, then gives it its own; removes it when `write` fails. */
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
