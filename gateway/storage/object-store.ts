import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../../services/kit/errors.ts';

/** Bytes of an object, both ends included. An end beyond the object's means its last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface PutOptions {
  mediaType: string;
  signal?: AbortSignal;
}

/** What was written. */
export interface StoredObject {
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

export interface OpenedObject {
  /** Of the whole object, also when a range of it was asked for. */
  bytes: number;
  /** Changes when the object is written again. */
  version: string;
  stream: Readable;
}

/**
 * Where files are kept by name, for every replica. A key is one or more segments of letters, digits, `.`, `_` and `-`,
 * none of which begins with a dot, with `/` between them, 512 characters at most; others are INVALID_ARGUMENT. What the
 * store itself fails at is UNAVAILABLE (try again), RESOURCE_EXHAUSTED (the disk is full) or FAILED_PRECONDITION (it
 * turns us away).
 */
export interface ObjectStore {
  /** Writes an object whole or not at all; replaces one of that name. When it resolves, the object lasts. */
  put(key: string, body: Readable | Uint8Array, options: PutOptions): Promise<StoredObject>;
  /** Throws NOT_FOUND, and OUT_OF_RANGE for a range that begins after the last byte. */
  open(key: string, range?: ByteRange): Promise<OpenedObject>;
  /** Removes every object below `prefix`, which is a key's first segments; `a` names `a/b`, not `ab`. */
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

/** The prefix without its final `/`; throws INVALID_ARGUMENT for what cannot begin a key. */
export function requirePrefix(prefix: string): string {
  const segments = prefix.replace(/\/$/, '');
  requireKey(segments);
  return segments;
}

/** Throws INVALID_ARGUMENT for a range that is none. */
export function requireRange(range: ByteRange | undefined): void {
  if (range && !(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end) && range.start >= 0)) {
    throw invalidField('range', `${range.start}–${range.end}`, 'whole numbers from 0');
  }
  if (range && range.end < range.start) {
    throw invalidField('range', `${range.start}–${range.end}`, 'an end that is not before the start');
  }
}

export function noSuchObject(key: string): FusionError {
  return new FusionError(Status.NOT_FOUND, `There is no object "${key}"`, {
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

/** Lets bytes through, and knows at the end how many they were and their hash. */
export class Measure extends Transform {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  override _transform(chunk: Uint8Array, _encoding: string, done: (error: null, chunk: Uint8Array) => void): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
    done(null, chunk);
  }

  /** Once, after the last byte. */
  finish(): StoredObject {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}
