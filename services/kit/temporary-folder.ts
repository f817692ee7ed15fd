import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from './process-alive.ts';

/** Containers may share a folder of temporary files, but see only their own processes. */
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const prefix = `fusionframes-${host}-`;
let hasSwept = false;

/**
 * Makes a temporary folder, which whoever asked for it removes. A process that was killed could not: the first call of a
 * process removes the folders of such ones.
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
      // Another process of ours was first, or it is another user's.
    }
  }
}

/** Whether the process `pid` runs, and had begun when the folder was made. */
function isOwned(folder: string, pid: number): boolean {
  if (pid === process.pid) {
    // In a container the main process has the same number every time.
    return statSync(folder).mtimeMs >= Date.now() - process.uptime() * 1000;
  }
  return isProcessAlive(pid);
}
