import { rm } from 'node:fs/promises';
import type { Scope } from '../scope.ts';
import { makeTemporaryFolder } from '../temporary-folder.ts';

/** Creates an empty folder, in `parent` if given, that is removed when `scope` closes. */
export function temporaryFolder(scope: Pick<Scope, 'defer'>, parent?: string): string {
  const folder = makeTemporaryFolder(parent);
  scope.defer(() => remove(folder));
  return folder;
}

/** Runs `use` with an empty folder that is removed afterwards. */
export async function withTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = makeTemporaryFolder();
  try {
    return await use(folder);
  } finally {
    await remove(folder);
  }
}

async function remove(folder: string): Promise<void> {
  // Files of processes that were just killed may still appear.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
