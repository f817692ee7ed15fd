import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';

/** A byte range of an object, both ends inclusive. An end beyond the object means its last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface PutOptions {
  mediaType: string;
  signal?: AbortSignal;
}

/** Size in bytes of the blocks of {@link StoredObject.blocks}. Stored with no object: it never changes. */
export const blockBytes = 256 << 10;

/** The size and hashes of a written object. */
export interface StoredObject {
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
  /**
   * SHA-256 of each block of 256 KiB, hexadecimal; the last may be shorter. Absent if there is only one block, and for
   * objects stored by earlier releases.
   */
  blocks?: readonly string[];
}

export interface OpenedObject {
  /** Size of the whole object, even for a range. */
  bytes: number;
  stream: Readable;
}

/**
 * Stores objects by key, for all replicas. A key consists of segments of letters, digits, `.`, `_` and `-` that do not
 * begin with a dot, separated by `/`, at most 512 characters; others are INVALID_ARGUMENT. Failures of the store itself
 * are UNAVAILABLE (try again), RESOURCE_EXHAUSTED (the disk is full) or FAILED_PRECONDITION (access denied).
 */
export interface ObjectStore {
  /** Writes an object atomically, replacing any previous one. It is durable once this resolves. */
  put(key: string, body: Readable | Uint8Array, options: PutOptions): Promise<StoredObject>;
  /** Throws NOT_FOUND, and OUT_OF_RANGE for a range that starts after the last byte. The signal ends a slow opening. */
  open(key: string, range?: ByteRange, signal?: AbortSignal): Promise<OpenedObject>;
  /** Removes every object below `prefix`, which consists of whole segments: `a` matches `a/b` but not `ab`. */
  removeAll(prefix: string): Promise<void>;
  close(): Promise<void>;
}

const maxKeyLength = 512;
const keyPattern = /^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/;

/** Throws INVALID_ARGUMENT for an invalid key. */
export function requireKey(key: string): void {
  if (key.length > maxKeyLength || !keyPattern.test(key)) {
    throw invalidField('key', key, `at most ${maxKeyLength} letters, digits and . _ - in segments divided by /`);
  }
}

/** The prefix without a trailing `/`; throws INVALID_ARGUMENT for an invalid prefix. */
export function requirePrefix(prefix: string): string {
  const segments = prefix.replace(/\/$/, '');
  requireKey(segments);
  return segments;
}

/** Throws INVALID_ARGUMENT for an invalid range. */
export function requireRange(range: ByteRange | undefined): void {
  if (range && !(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end) && range.start >= 0)) {
    throw invalidField('range', inWords(`${range.start}–${range.end}`), 'whole numbers from 0');
  }
  if (range && range.end < range.start) {
    throw invalidField('range', inWords(`${range.start}–${range.end}`), 'an end that is not before the start');
  }
}

export function noSuchObject(key: string): FusionError {
  return new FusionError(Status.NOT_FOUND, `Object "${key}" not found`, {
    reason: 'NO_SUCH_OBJECT',
    field: 'key',
  });
}

export function outOfRange({ start }: ByteRange, key: string): FusionError {
  return new FusionError(Status.OUT_OF_RANGE, `range: object "${key}" ends before byte ${start}`, {
    reason: 'OUT_OF_RANGE',
    field: 'range',
  });
}

/** A pass-through stream that computes the size and hashes of its bytes. */
export class Measure extends Transform {
  readonly #hash = createHash('sha256');
  readonly #blocks: string[] = [];
  #block = createHash('sha256');
  #bytes = 0;

  override _transform(chunk: Uint8Array, _encoding: string, done: (error: null, chunk: Uint8Array) => void): void {
    this.#hash.update(chunk);
    for (let rest = chunk; rest.length > 0; ) {
      const piece = rest.subarray(0, blockBytes - (this.#bytes % blockBytes));
      this.#block.update(piece);
      this.#bytes += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#bytes % blockBytes === 0) {
        this.#endBlock();
      }
    }
    done(null, chunk);
  }

  /** To be called once, after the last byte. */
  finish(): StoredObject {
    if (this.#bytes % blockBytes > 0) {
      this.#endBlock();
    }
    const blocks = this.#blocks;
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex'), ...(blocks.length > 1 && { blocks }) };
  }

  #endBlock(): void {
    this.#blocks.push(this.#block.digest('hex'));
    this.#block = createHash('sha256');
  }
}
