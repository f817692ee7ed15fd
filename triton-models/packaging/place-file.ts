import { realpath } from 'node:fs/promises';
import { copyFileApart } from './copy-file.ts';
import { tryLink } from './link-file.ts';

export interface PlaceOptions {
  /** Whether to hard-link the file if the file system allows it. Default: copy. */
  link: boolean;
  /** Called with the size of each copied chunk, in bytes. */
  onBytes?: (count: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Links or copies a file to a path that does not exist yet. Returns the SHA-256 of a copy, undefined for a link.
 */
export async function placeFile(
  source: string,
  target: string,
  { link, ...copying }: PlaceOptions,
): Promise<string | undefined> {
  const real = await realpath(source);
  return link && (await tryLink(real, target)) ? undefined : await copyFileApart(real, target, copying);
}
