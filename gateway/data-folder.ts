import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { invalidField } from '../services/kit/errors.ts';
import { makeFolder } from '../services/kit/make-folder.ts';

/** Where the gateway keeps what must last: the embedded database and, unless they go elsewhere, the files of jobs. */
export interface DataFolder {
  /** Absolute. */
  path: string;
  /** It ends with this process, however that ends. */
  temporary: boolean;
  /** Removes a temporary one. */
  close(): Promise<void>;
}

/**
 * Removes a temporary folder when this process is gone (its end of standard input closes): after a kill, nobody else
 * would. The database, which ends at the same time, is waited for a little.
 */
const removeWhenInputEnds = `
read -r _
tries=0
while [ -e "$1/postgres/cluster/postmaster.pid" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf "$1"`;

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
    throw invalidField('data folder', path, `a folder that can be made and written to (${(error as Error).message})`);
  }
  return { path: folder, temporary: false, close: async () => {} };
}

async function temporaryFolder(): Promise<DataFolder> {
  const path = await mkdtemp(join(tmpdir(), 'fusionframes-'));
  // Root's PostgreSQL runs as another user, who has to get to its own folder in here.
  await chmod(path, 0o711);
  const remover = spawn('/bin/sh', ['-c', removeWhenInputEnds, 'fusionframes-cleanup', path], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  remover.on('error', () => {});
  remover.stdin.on('error', () => {});
  remover.unref();
  (remover.stdin as unknown as { unref(): void }).unref();
  return {
    path,
    temporary: true,
    async close() {
      await rm(path, { recursive: true, force: true });
      remover.stdin.end();
    },
  };
}
