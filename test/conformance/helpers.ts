import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { JsonObject } from '@bufbuild/protobuf';
import type { Outcome, Step } from './exchanges.ts';

/** What a recorded helper does, by its name; the folder's README lists their arguments. */
export type Helper = (request: JsonObject, repository: string | undefined) => Promise<Outcome> | Outcome;

const done: Outcome = { response: {} };

export const helpers: Record<string, Helper> = {
  '@wait': async ({ ms }) => {
    await delay(Number(ms));
    return done;
  },
  '@shm_create': ({ key, byte_size, data }) => {
    const content = Buffer.alloc(Number(byte_size));
    Buffer.from(String(data ?? ''), 'base64').copy(content);
    writeFileSync(sharedMemoryFile(key), content);
    return done;
  },
  '@shm_read': ({ key, offset, byte_size }) => {
    const start = Number(offset ?? 0);
    const content = readFileSync(sharedMemoryFile(key)).subarray(start, start + Number(byte_size));
    return { response: { data: content.toString('base64') } };
  },
  '@shm_unlink': ({ key }) => {
    rmSync(sharedMemoryFile(key), { force: true });
    return done;
  },
  '@repo_copy': ({ from, to }, repository) => {
    cpSync(within(repository, from), within(repository, to), { recursive: true });
    return done;
  },
  '@repo_write': ({ path, data }, repository) => {
    const file = within(repository, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(String(data ?? ''), 'base64'));
    return done;
  },
  '@repo_delete': ({ path }, repository) => {
    rmSync(within(repository, path), { recursive: true, force: true });
    return done;
  },
};

/** Whether a step changes the repository copy, which only a server of our own reads. */
export function changesRepository({ method }: Step): boolean {
  return method.startsWith('@repo_');
}

/** The shared memory objects that steps make, to be removed afterwards. */
export function sharedMemoryKeys(steps: readonly Step[]): string[] {
  return steps.filter(({ method }) => method === '@shm_create').map(({ request }) => sharedMemoryFile(request?.key));
}

function sharedMemoryFile(key: unknown): string {
  return join('/dev/shm', String(key));
}

function within(repository: string | undefined, path: unknown): string {
  if (!repository) {
    throw new Error('this step changes the repository, which is out of reach here');
  }
  return join(repository, String(path));
}
