import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import type { SystemSharedMemoryStatusResponse_RegionStatus as RegionStatus } from '../../proto/gen/grpc_service.ts';
import { FusionError } from '../kit/errors.ts';
import { type FileRange, readRangeSync, writeRange } from '../kit/file-ranges.ts';
import { bufferOf } from '../kit/spare-buffers.ts';
import { internal, invalidArgument, notFound } from './errors.ts';

/** Linux exposes POSIX shared memory objects as files, so that they need no native code. */
const folder = '/dev/shm';
const pageSize = 4096n;

interface Region {
  readonly status: RegionStatus;
  readonly descriptor: number;
  /** Leases, and copies in progress. */
  users: number;
  isRegistered: boolean;
}

/** A checked part of a region; it stays usable until released, even if the region is unregistered before. */
export interface RegionLease {
  readonly byteSize: number;
  /**
   * Where it is, for a copy that may last longer than the lease: the second result must be called when that has ended. Throws
   * INTERNAL once released.
   */
  hold(): [FileRange, () => void];
  /** A copy of its bytes, in a buffer of its own. Throws INTERNAL if the object has become too short. */
  read(): Uint8Array<ArrayBuffer>;
  /** Writes from its start; expects data that fit. */
  write(data: Uint8Array): Promise<void>;
  release(): void;
}

/** The error of a region whose object has become too short. */
export function regionTooShort(): FusionError {
  return internal('a shared memory region of an input is shorter than when it was registered');
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
  const range = { descriptor: region.descriptor, position, byteSize };
  let isReleased = false;
  const hold = (): [FileRange, () => void] => {
    if (isReleased) {
      throw internal(`shared memory region '${region.status.name}' was released`);
    }
    region.users++;
    return [range, () => leave(region)];
  };
  return {
    byteSize,
    hold,
    read: () => {
      const [, end] = hold();
      try {
        const data = bufferOf(byteSize);
        if (!readRangeSync(range.descriptor, data, position)) {
          throw regionTooShort();
        }
        return data;
      } finally {
        end();
      }
    },
    write: async (data) => {
      const [, end] = hold();
      try {
        await writeRange(range.descriptor, data, position);
      } finally {
        end();
      }
    },
    release: () => {
      if (!isReleased) {
        isReleased = true;
        leave(region);
      }
    },
  };
}

function leave(region: Region): void {
  region.users--;
  closeUnused(region);
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
