import { stat } from 'node:fs/promises';

/** How often files are checked for changes, seconds. */
export const watchSeconds = 5;

/** Changes whenever one of the files does, appears or disappears. */
export async function fileVersion(paths: readonly (string | undefined)[]): Promise<string> {
  const files = paths.map(async (path) => {
    const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
    return found && `${found.ino}:${found.size}:${found.mtimeMs}`;
  });
  return (await Promise.all(files)).join(' ');
}
