import { constants } from 'node:fs';
import { access, chmod, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { invalidField } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';

/** Where the gateway keeps what must last: the embedded database and, unless they go elsewhere, the files of jobs. */
export interface DataFolder {
  /** Absolute. */
  path: string;
  /** What is in it ends with this process. */
  temporary: boolean;
  /** Removes a temporary one. */
  close(): Promise<void>;
}

/**
 * Opens a folder, which is made when it is absent; an empty path stands for a temporary one. Throws INVALID_ARGUMENT when
 * it cannot be made or written to.
 */
export async function openDataFolder(path: string): Promise<DataFolder> {
  if (path === '') {
    return temporaryFolder();
  }
  const folder = resolve(path);
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw invalidField(
      'FUSIONFRAMES_DATA_FOLDER',
      path,
      `a folder that can be made and written to (${(error as Error).message})`,
    );
  }
  return { path: folder, temporary: false, close: async () => {} };
}

async function temporaryFolder(): Promise<DataFolder> {
  const path = makeTemporaryFolder();
  // Root's PostgreSQL runs as another user, who has to get to its own folder in here.
  await chmod(path, 0o711);
  return { path, temporary: true, close: () => rm(path, { recursive: true, force: true }) };
}
