import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { HubFile } from '../checkpoints/hub-file.ts';
import { hashFile, startHash } from './content-hash.ts';

/**
 * An incomplete file, stored next to its target as `<name>.<hash>.part`, so that a later call can resume it, but never
 * with the content of another revision.
 */
export class PartialFile {
  readonly path: string;
  readonly #file: HubFile;
  readonly #target: string;
  readonly #handle: FileHandle;
  #hash;
  #length = 0;

  private constructor(file: HubFile, target: string, path: string, handle: FileHandle) {
    this.#file = file;
    this.#target = target;
    this.path = path;
    this.#handle = handle;
    this.#hash = startHash(file);
  }

  /** Opens the file left by an earlier call, or an empty one. `onBytes` is called for bytes already present. */
  static async open(
    file: HubFile,
    target: string,
    onBytes: (count: number) => void,
    signal?: AbortSignal,
  ): Promise<PartialFile> {
    const path = partialPath(file, target);
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT);
    const partial = new PartialFile(file, target, path, handle);
    try {
      const { size } = await handle.stat();
      if (size > 0 && size <= file.size) {
        await hashFile(path, partial.#hash, onBytes, signal);
        partial.#length = size;
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    return partial;
  }

  /** Current size in bytes. */
  get length(): number {
    return this.#length;
  }

  /** Starts over. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = startHash(this.#file);
    this.#length = 0;
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let written = 0; written < piece.byteLength; ) {
      const rest = piece.byteLength - written;
      written += (await this.#handle.write(piece, written, rest, this.#length + written)).bytesWritten;
    }
    this.#hash.update(piece);
    this.#length += piece.byteLength;
  }

  /** Renames the complete file to its target. Throws DATA_LOSS and removes the file if its hash is wrong. */
  async finish(): Promise<void> {
    const { kind, value } = this.#file.hash;
    const found = this.#hash.digest('hex');
    // A publisher may give only the beginning of the hash.
    if (!found.startsWith(value)) {
      await rm(this.path, { force: true });
      const message = `${this.#target}: ${kind} ${value} expected, ${found} found; the received data was removed, so try again`;
      throw new FusionError(Status.DATA_LOSS, message, { reason: 'WRONG_HASH' });
    }
    // An earlier process may have left more bytes than the file has.
    await this.#handle.truncate(this.#length);
    await this.#handle.sync();
    await rename(this.path, this.#target);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** Path of a file until it is complete. */
export function partialPath({ hash }: HubFile, target: string): string {
  return `${target}.${hash.value.slice(0, 12)}.part`;
}
