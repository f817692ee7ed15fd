import { randomBytes } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { toFusionError } from '../../kit/errors.ts';
import type { CallOptions } from '../calls/connection.ts';
import type { SystemSharedMemoryCalls } from '../calls/shared-memory-calls.ts';
import { createSharedFile, hasSharedMemory, isOrphaned, randomName, removeOrphanedFiles } from './shared-file.ts';

const probeBytes = 4096;

/**
 * Finds out whether a server can open this process's shared memory: it must register an object with a name that it cannot
 * guess, list it, and reject one that does not exist. A server on another host, in a container with another /dev/shm, of
 * another user or without permission to share cannot. (Its first answer later proves that it also writes where this process
 * reads.)
 *
 * @returns why no memory is shared; undefined when it is. Throws UNAVAILABLE or DEADLINE_EXCEEDED if no server answers.
 */
export async function probeSharedMemory(
  calls: SystemSharedMemoryCalls,
  options: CallOptions,
): Promise<string | undefined> {
  if (!hasSharedMemory) {
    return `there are no shared memory files on ${process.platform}`;
  }
  try {
    removeOrphanedFiles();
    return await registerProbe(calls, options);
  } catch (thrown) {
    const { code, message } = toFusionError(thrown);
    if (code === Status.UNAVAILABLE || code === Status.DEADLINE_EXCEEDED) {
      throw thrown;
    }
    return message;
  }
}

async function registerProbe(calls: SystemSharedMemoryCalls, options: CallOptions): Promise<string | undefined> {
  const file = createSharedFile(probeBytes);
  if (!file) {
    return '/dev/shm is full';
  }
  const { name } = file;
  try {
    await file.write(0, randomBytes(probeBytes));
    await calls.register({ name, key: `/${name}`, byteSize: probeBytes }, options);
    const regions = await calls.status('', options);
    const shown = regions.find((region) => region.name === name);
    await calls.unregister(name, options);
    if (Number(shown?.byteSize) !== probeBytes) {
      return 'the server does not show the region that it registered';
    }
    if (await registersAnything(calls, options)) {
      return 'the server registers regions that do not exist';
    }
    for (const region of regions.filter((region) => isOrphaned(region.name))) {
      await calls.unregister(region.name, options);
    }
    return undefined;
  } finally {
    file.unlink();
    file.close();
  }
}

/** Whether the server accepts regions without opening them. */
async function registersAnything(calls: SystemSharedMemoryCalls, options: CallOptions): Promise<boolean> {
  const name = randomName();
  try {
    await calls.register({ name, key: `/${name}`, byteSize: probeBytes }, options);
  } catch (thrown) {
    const { code } = toFusionError(thrown);
    if (code === Status.INTERNAL || code === Status.INVALID_ARGUMENT || code === Status.NOT_FOUND) {
      return false;
    }
    throw thrown;
  }
  await calls.unregister(name, options);
  return true;
}
