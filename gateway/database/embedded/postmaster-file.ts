import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isProcessAlive } from '../../../services/kit/process-alive.ts';

/** What a server writes about itself into its cluster's `postmaster.pid` while it runs. */
export interface PostmasterFile {
  pid: number;
  /** Whether it takes connections by now. */
  ready: boolean;
}

/** The file as it is, also one that a killed server has left behind; `undefined` when there is none. */
export async function readPostmasterFile(cluster: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n');
  const pid = Number(lines?.[0]);
  // The line numbers are PostgreSQL's LOCK_FILE_LINE_* (src/include/utils/pidfile.h).
  return lines && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

/**
 * The server that runs on a cluster, if one does. A file whose process has gone, or has a number that some other program
 * got since, is removed: PostgreSQL itself would take that program for a server and refuse to start.
 */
export async function runningServer(cluster: string): Promise<PostmasterFile | undefined> {
  const file = await readPostmasterFile(cluster);
  if (!file || (await isPostgres(file.pid))) {
    return file;
  }
  if ((await readPostmasterFile(cluster))?.pid === file.pid) {
    await rm(join(cluster, 'postmaster.pid'), { force: true });
  }
  return undefined;
}

async function isPostgres(pid: number): Promise<boolean> {
  if (!isProcessAlive(pid)) {
    return false;
  }
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() =>
    // No /proc: macOS.
    promisify(execFile)('ps', ['-o', 'comm=', '-p', String(pid)]).then(
      ({ stdout }) => stdout,
      () => '',
    ),
  );
  return /(^|\/)postgres\s*$/.test(name);
}
