import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from './process-alive.ts';

/** Containers may share a temporary folder, but see only their own processes. */
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const prefix = `fusionframes-${host}-`;
const swept = new Set<string>();

/**
 * Creates a temporary folder in `parent`, which the caller removes. The first call of a process also removes the folders of
 * processes that were killed.
 */
export function makeTemporaryFolder(parent = tmpdir()): string {
  if (!swept.has(parent)) {
    swept.add(parent);
    sweep(parent);
  }
  return mkdtempSync(join(parent, `${prefix}${process.pid}-`));
}

/** Removes the folders whose process is gone. */
function sweep(parent: string): void {
  for (const name of readdirSync(parent).filter((each) => each.startsWith(prefix))) {
    const folder = join(parent, name);
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
