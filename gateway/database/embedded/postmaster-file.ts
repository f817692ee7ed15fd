import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isProcessAlive } from '../../../services/kit/process-alive.ts';

/** What a running server writes about itself into its cluster's `postmaster.pid`. */
export interface PostmasterFile {
  pid: number;
  /** Whether it accepts connections yet. */
  ready: boolean;
}

/** Reads the file, even a stale one left by a killed server; `undefined` when there is none. */
export async function readPostmasterFile(cluster: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n');
  const pid = Number(lines?.[0]);
  // The line numbers are PostgreSQL's LOCK_FILE_LINE_* (src/include/utils/pidfile.h).
  return lines && pid > 0 ? { pid, ready: lines[7]?.trim() === 'ready' } : undefined;
}

/**
 * The server running on a cluster, if any. Removes the file if its process no longer exists or its pid now belongs to
 * another program: PostgreSQL would mistake that program for a server and refuse to start.
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
