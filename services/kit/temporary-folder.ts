import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from './process-alive.ts';

/** Containers may share a temporary folder, but see only their own processes. */
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const prefix = `fusionframes-${host}-`;
let hasSwept = false;

/**
 * Creates a temporary folder, which the caller removes. The first call of a process also removes the folders of processes
 * that were killed.
 */
export function makeTemporaryFolder(): string {
  if (!hasSwept) {
    hasSwept = true;
    sweep();
  }
  return mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
}

/** Removes the folders whose process is gone. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix))) {
    const folder = join(tmpdir(), name);
    try {
      if (!isOwned(folder, Number.parseInt(name.slice(prefix.length), 10))) {
        rmSync(folder, { recursive: true });
      }
    } catch {
      // Another process removed it, or it belongs to another user.
    }
  }
}

/** Whether process `pid` runs and started before the folder was created. */
function isOwned(folder: string, pid: number): boolean {
  if (pid === process.pid) {
    // In a container the main process has the same number every time.
    return statSync(folder).mtimeMs >= Date.now() - process.uptime() * 1000;
  }
  return isProcessAlive(pid);
}
