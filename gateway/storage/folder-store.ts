import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Status } from 'nice-grpc-common';
import { explainDiskFull } from '../../services/kit/disk-full.ts';
import { FusionError, isAbortError, toFusionError } from '../../services/kit/errors.ts';
import {
  type ByteRange,
  Measure,
  noSuchObject,
  type ObjectStore,
  type OpenedObject,
  outOfRange,
  type PutOptions,
  requireKey,
  requirePrefix,
  requireRange,
  type StoredObject,
} from './object-store.ts';

/** Folder of unfinished objects; no key begins with a dot. */
const partialFolder = '.partial';

/** Age in milliseconds after which a partial file counts as abandoned by a killed process. */
const abandonedAfter = 3_600_000;

/** How often to recreate a folder that a concurrent removal deletes. */
const maxPlacements = 5;

/** Objects as files in a folder, which replicas may share over a network file system. */
export class FolderStore implements ObjectStore {
  readonly #folder: string;
  readonly #temporary: boolean;

  private constructor(folder: string, temporary: boolean) {
    this.#folder = folder;
    this.#temporary = temporary;
  }

  /**
   * @param folder an existing, writable folder
   * @param temporary whether the folder is discarded with the process, so that nothing needs to be flushed to disk
   */
  static async open(folder: string, temporary = false): Promise<FolderStore> {
    const partial = join(folder, partialFolder);
    await mkdir(partial, { recursive: true });
    for (const name of await readdir(partial)) {
      const path = join(partial, name);
      const age = Date.now() - (await stat(path).then(({ mtimeMs }) => mtimeMs, Date.now));
      if (age > abandonedAfter) {
        await rm(path, { force: true });
      }
    }
    return new FolderStore(folder, temporary);
  }

  async put(key: string, body: Readable | Uint8Array, { signal }: PutOptions): Promise<StoredObject> {
    requireKey(key);
    const partial = join(this.#folder, partialFolder, randomUUID());
    const measure = new Measure();
    try {
      const source = body instanceof Readable ? body : Readable.from([body], { objectMode: false });
      await pipeline(source, measure, createWriteStream(partial, { flags: 'wx', flush: !this.#temporary }), { signal });
      signal?.throwIfAborted();
      await this.#place(partial, key);
      return measure.finish();
    } catch (error) {
      await rm(partial, { force: true });
      throw storageError(error);
    }
  }

  async open(key: string, range?: ByteRange): Promise<OpenedObject> {
    requireKey(key);
    requireRange(range);
    let handle: FileHandle | undefined;
    try {
      handle = await open(join(this.#folder, key));
      const status = await handle.stat();
      if (!status.isFile()) {
        throw noSuchObject(key);
      }
      const bytes = status.size;
      if (range && range.start >= bytes) {
        throw outOfRange(range, key);
      }
      return { bytes, stream: handle.createReadStream(range ?? {}) };
    } catch (error) {
      await handle?.close();
      throw isAbsent(error) ? noSuchObject(key) : storageError(error);
    }
  }

  async removeAll(prefix: string): Promise<void> {
    const path = join(this.#folder, requirePrefix(prefix));
    try {
      // Only folders: an object with the prefix as its name is not below it.
      if ((await stat(path)).isDirectory()) {
        await rm(path, { recursive: true, force: true, maxRetries: maxPlacements });
      }
    } catch (error) {
      if (!isAbsent(error)) {
        throw storageError(error);
      }
    }
  }

  async close(): Promise<void> {}

  /** Renames a written file to its final name and flushes the folder. */
  async #place(partial: string, key: string): Promise<void> {
    const path = join(this.#folder, key);
    for (let placement = 1; ; placement++) {
      try {
        await mkdir(dirname(path), { recursive: true });
        await rename(partial, path);
        if (!this.#temporary) {
          await flushFolders(dirname(path), this.#folder);
        }
        return;
      } catch (error) {
        if (placement === maxPlacements || (error as NodeJS.ErrnoException).code !== 'ENOENT') {
          throw error;
        }
      }
    }
  }
}

/** A folder and its ancestors, up to `last`. */
async function flushFolders(first: string, last: string): Promise<void> {
  for (let folder = first; folder.length >= last.length; folder = dirname(folder)) {
    await flushFolder(folder);
  }
}

async function flushFolder(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function storageError(error: unknown): Error {
  if (error instanceof FusionError || isAbortError(error)) {
    return error as Error;
  }
  const { code, message } = error as NodeJS.ErrnoException;
  const full = explainDiskFull(error, 'storage');
  if (full instanceof FusionError) {
    return full;
  }
  if (code === undefined) {
    // The error of the body's own source.
    return toFusionError(error);
  }
  const passing = ['EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'EBUSY', 'ENOMEM'].includes(code);
  return new FusionError(passing ? Status.UNAVAILABLE : Status.FAILED_PRECONDITION, `storage: ${message}`, {
    reason: passing ? 'STORAGE_UNAVAILABLE' : 'STORAGE_REFUSED',
    cause: error,
  });
}
