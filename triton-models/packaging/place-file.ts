import { realpath } from 'node:fs/promises';
import { copyFileApart } from './copy-file.ts';
import { tryLink } from './link-file.ts';

export interface PlaceOptions {
  /** Hard-links the file where the file system can; default: copies it. */
  link: boolean;
  /** Called with the bytes of each copied piece. */
  onBytes?: (count: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Puts a file at a path where nothing is yet. → SHA-256 of a copy; undefined for a link.
 */
export async function placeFile(
  source: string,
  target: string,
  { link, ...copying }: PlaceOptions,
): Promise<string | undefined> {
  const real = await realpath(source);
  return link && (await tryLink(real, target)) ? undefined : await copyFileApart(real, target, copying);
}
