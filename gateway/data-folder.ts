import { constants } from 'node:fs';
import { access, chmod, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { invalidField } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';
import { reasonOf } from '../services/kit/reason-of.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';

/** Where the gateway keeps the embedded database and, unless storage is elsewhere, the files of jobs. */
export interface DataFolder {
  /** Absolute. */
  path: string;
  /** Removed when this process ends. */
  temporary: boolean;
  /** Folder of the empty database that a temporary one is copied from. */
  emptyDatabase?: string;
  /** Removes it if it is temporary. */
  close(): Promise<void>;
}

/**
 * Opens a folder, creating it if necessary; an empty path makes a temporary one. Throws INVALID_ARGUMENT if it cannot be
 * created or written to.
 *
 * @param emptyDatabase where an empty database is kept for temporary ones; default: nowhere
 */
export async function openDataFolder(path: string, emptyDatabase?: string): Promise<DataFolder> {
  if (path === '') {
    return temporaryDataFolder(emptyDatabase);
  }
  const folder = resolve(path);
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw invalidField(
      'FUSIONFRAMES_DATA_FOLDER',
      path,
      `a folder that can be created and written to (${reasonOf(error)})`,
    );
  }
  return { path: folder, temporary: false, close: async () => {} };
}

async function temporaryDataFolder(emptyDatabase: string | undefined): Promise<DataFolder> {
  const path = makeTemporaryFolder();
  // Started by root, PostgreSQL runs as another user, who must reach its own folder in here.
  await chmod(path, 0o711);
  const close = () => rm(path, { recursive: true, force: true });
  return { path, temporary: true, ...(emptyDatabase !== undefined && { emptyDatabase }), close };
}
