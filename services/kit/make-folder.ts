import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Creates a folder and its parents where they are absent. `mkdir` with `recursive` never returns on file systems that refuse
 * new folders with ENOENT, such as /proc. Rejects with the system's error.
 */
export async function makeFolder(path: string): Promise<void> {
  const parent = dirname(path);
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      return;
    }
    if (code !== 'ENOENT' || parent === path) {
      throw error;
    }
    await makeFolder(parent);
    await mkdir(path);
  }
}
