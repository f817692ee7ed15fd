import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readdirSync, readlinkSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { readRange, writeRange } from '../../kit/file-ranges.ts';
import { isProcessAlive } from '../../kit/process-alive.ts';
import { bufferOf } from '../../kit/spare-buffers.ts';

/** Where Linux shows POSIX shared memory objects as files, so that reading and writing them takes no native code. */
const folder = '/dev/shm';
const prefix = 'fusionframes';

/** Whether shared memory is available. Only Linux exposes it as files. */
export const hasSharedMemory = process.platform === 'linux';

/** A shared memory object of this process. It lasts until every process that opened it has closed it. */
export class SharedFile {
  readonly name: string;
  readonly byteSize: number;
  readonly #descriptor: number;

  constructor(name: string, byteSize: number, descriptor: number) {
    this.name = name;
    this.byteSize = byteSize;
    this.#descriptor = descriptor;
  }

  async write(position: number, data: Uint8Array): Promise<void> {
    await writeRange(this.#descriptor, data, position);
  }

  /** A copy of a part, in a buffer of its own. */
  async read(position: number, byteSize: number): Promise<Uint8Array> {
    const data = bufferOf(byteSize);
    if (!(await readRange(this.#descriptor, data, position))) {
      throw new Error(`shared memory ${this.name} ends before ${position + byteSize}`);
    }
    return data;
  }

  /** Unlinks the name: no other process can open it, and it disappears when both sides have closed it. */
  unlink(): void {
    rmSync(join(folder, this.name), { force: true });
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * An object of zeros that only this user can open. All its memory is allocated now: otherwise a server that writes into a full
 * /dev/shm would be killed.
 *
 * @returns undefined if it would use more than half of the free space
 */
export function createSharedFile(byteSize: number): SharedFile | undefined {
  const { bavail, bsize } = statfsSync(folder);
  if (byteSize > (bavail * bsize) / 2) {
    return undefined;
  }
  const name = randomName();
  const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW } = constants;
  const flags = O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW;
  const descriptor = openSync(join(folder, name), flags, 0o600);
  const file = new SharedFile(name, byteSize, descriptor);
  try {
    const zeros = new Uint8Array(Math.min(byteSize, 1 << 20));
    for (let position = 0; position < byteSize; ) {
      position += writeSync(descriptor, zeros, 0, Math.min(zeros.byteLength, byteSize - position), position);
    }
    return file;
  } catch {
    // Another process took the space meanwhile.
    file.close();
    file.unlink();
    return undefined;
  }
}

/** A name that other processes cannot guess and that contains its owner's process id. */
export function randomName(): string {
  return `${prefix}-${processNamespace()}-${process.pid}-${randomBytes(16).toString('hex')}`;
}

/**
 * Whether an object or a region of this name was left behind by a process that is gone. Processes of other containers
 * have their own process ids, so theirs are ignored here.
 */
export function isOrphaned(name: string): boolean {
  const [, namespace, pid] = new RegExp(`^${prefix}-(\\d+)-(\\d+)-[0-9a-f]{32}$`).exec(name) ?? [];
  return namespace === processNamespace() && !isProcessAlive(Number(pid));
}

/** Deletes objects of processes that were killed between creating and registering them. */
export function removeOrphanedFiles(): void {
  for (const name of readdirSync(folder).filter(isOrphaned)) {
    rmSync(join(folder, name), { force: true });
  }
}

function processNamespace(): string {
  return readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
}
