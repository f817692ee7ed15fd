import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import type { SystemSharedMemoryStatusResponse_RegionStatus as RegionStatus } from '../../proto/gen/grpc_service.ts';
import { FusionError } from '../kit/errors.ts';
import { internal, invalidArgument, notFound } from './errors.ts';
import { bufferOf } from './execution/spare-buffers.ts';

/** Linux exposes POSIX shared memory objects as files, so that they need no native code. */
const folder = '/dev/shm';
const pageSize = 4096n;
/** Maximum number of bytes that one system call reads. */
const largestRead = 2 ** 30;

interface Region {
  readonly status: RegionStatus;
  readonly descriptor: number;
  /** Leases that are still reading or writing it. */
  users: number;
  isRegistered: boolean;
}

/** A checked part of a region; it stays usable until released, even if the region is unregistered before. */
export interface RegionLease {
  readonly byteSize: number;
  /** A copy of its bytes, in a buffer of its own. */
  read(): Uint8Array;
  /** Writes from its start; expects data that fit. */
  write(data: Uint8Array): void;
  release(): void;
}

/** System shared memory registered by clients: requests refer to tensors in it by name. */
export class SharedMemory {
  readonly #regions = new Map<string, Region>();

  /**
   * Throws INVALID_ARGUMENT for a bad key, offset or size, ALREADY_EXISTS for a name in use and INTERNAL for an object
   * that cannot be opened.
   *
   * @param offset of the region within the object, bytes, a multiple of the page size
   */
  register(name: string, key: string, offset: bigint, byteSize: bigint): void {
    if (key === '') {
      throw invalidArgument(`cannot register shared memory region '${name}' - invalid shm key '${key}'`);
    }
    if (this.#regions.has(name)) {
      throw new FusionError(Status.ALREADY_EXISTS, `shared memory region '${name}' already in manager`);
    }
    const descriptor = openObject(key);
    try {
      const fault = rangeFault(offset, byteSize, fstatSync(descriptor, { bigint: true }).size);
      if (fault) {
        throw invalidArgument(`failed to register shared memory region '${name}': ${fault}`);
      }
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    this.#regions.set(name, { status: { name, key, offset, byteSize }, descriptor, users: 0, isRegistered: true });
  }

  /** One region, or with an empty name all. Throws NOT_FOUND for an unknown name. */
  status(name: string): RegionStatus[] {
    if (name === '') {
      return [...this.#regions.values()].map((region) => region.status);
    }
    const region = this.#regions.get(name);
    if (!region) {
      throw notFound(`Unable to find system shared memory region: '${name}'`);
    }
    return [region.status];
  }

  /** Unregisters one region, or with an empty name all; ignores unknown names. */
  unregister(name: string): void {
    for (const region of name === '' ? [...this.#regions.values()] : [this.#regions.get(name)]) {
      if (region) {
        this.#regions.delete(region.status.name);
        region.isRegistered = false;
        closeUnused(region);
      }
    }
  }

  /** Throws NOT_FOUND for an unknown region, INVALID_ARGUMENT for a range outside it. */
  lease(name: string, offset: bigint, byteSize: bigint): RegionLease {
    const region = this.#regions.get(name);
    if (!region) {
      throw notFound(`Unable to find shared memory region: '${name}'`);
    }
    if (offset < 0n || offset >= region.status.byteSize) {
      throw invalidArgument(`Invalid offset for shared memory region: '${name}'`);
    }
    if (byteSize < 0n || offset + byteSize > region.status.byteSize) {
      throw invalidArgument(`Invalid offset + byte size for shared memory region: '${name}'`);
    }
    region.users++;
    return leaseOf(region, Number(region.status.offset + offset), Number(byteSize));
  }
}

function leaseOf(region: Region, position: number, byteSize: number): RegionLease {
  let isReleased = false;
  return {
    byteSize,
    read: () => {
      const data = bufferOf(byteSize);
      for (let filled = 0; filled < byteSize; ) {
        const wanted = Math.min(byteSize - filled, largestRead);
        const count = readSync(region.descriptor, data, filled, wanted, position + filled);
        if (count === 0) {
          throw internal(`shared memory region '${region.status.name}' is shorter than when it was registered`);
        }
        filled += count;
      }
      return data;
    },
    write: (data) => {
      for (let written = 0; written < data.byteLength; ) {
        written += writeSync(region.descriptor, data, written, data.byteLength - written, position + written);
      }
    },
    release: () => {
      if (!isReleased) {
        isReleased = true;
        region.users--;
        closeUnused(region);
      }
    },
  };
}

function closeUnused(region: Region): void {
  if (!region.isRegistered && region.users === 0) {
    closeSync(region.descriptor);
  }
}

function openObject(key: string): number {
  const name = key.replace(/^\/+/, '');
  if (name !== '' && name !== '.' && name !== '..' && !name.includes('/')) {
    try {
      return openSync(join(folder, name), constants.O_RDWR | constants.O_NOFOLLOW);
    } catch {
      // The object cannot be opened, for any reason.
    }
  }
  throw internal(`Unable to open shared memory region: '${key}'`);
}

/** What is wrong with a region in an object of this size. */
function rangeFault(offset: bigint, byteSize: bigint, objectSize: bigint): string | undefined {
  if (offset + byteSize > objectSize) {
    return 'invalid args';
  }
  // The offset must be a multiple of the page's size, and there must be something to map.
  if (offset % pageSize !== 0n || byteSize === 0n) {
    return 'unable to process address spaceInvalid argument';
  }
  return undefined;
}
