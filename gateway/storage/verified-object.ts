import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { Status } from 'nice-grpc-common';
import { FusionError, isAbortError } from '../../services/kit/errors.ts';
import type { ByteRange, ObjectStore, PutOptions, StoredObject } from './object-store.ts';

/**
 * Opens an object that must be what was stored. Its size is checked before the first byte. The stream fails instead of
 * giving a byte too many, and before it gives the last ones when bytes are missing or, of a whole object, the hash is
 * another: a reader never takes damaged bytes for all of them. Throws and fails with DATA_LOSS for another object than was
 * stored, UNAVAILABLE when the store breaks off; throws what {@link ObjectStore.open} throws.
 */
export async function openVerified(
  objects: ObjectStore,
  key: string,
  stored: StoredObject,
  range?: ByteRange,
): Promise<Readable> {
  const part = range && (range.start > 0 || range.end < stored.bytes - 1) ? range : undefined;
  const { bytes, stream } = await open(objects, key, stored, part);
  if (bytes !== stored.bytes) {
    stream.destroy();
    throw damaged(key, `has ${bytes} bytes, not the ${stored.bytes} that were stored`);
  }
  const length = part ? Math.min(part.end, stored.bytes - 1) - part.start + 1 : stored.bytes;
  return Readable.from(verify(stream, key, length, part ? undefined : stored.sha256), { objectMode: false });
}

/**
 * Stores an object and reads it again: some buckets lose or change what they are sent. Throws UNAVAILABLE when it is not
 * there as it was sent, so that it is worth storing again; throws what {@link ObjectStore.put} throws.
 */
export async function putVerified(
  objects: ObjectStore,
  key: string,
  body: Readable | Uint8Array,
  options: PutOptions,
): Promise<StoredObject> {
  const stored = await objects.put(key, body, options);
  try {
    for await (const _ of await openVerified(objects, key, stored)) {
      options.signal?.throwIfAborted();
    }
  } catch (error) {
    if (!(error instanceof FusionError) || (error.code !== Status.DATA_LOSS && error.code !== Status.NOT_FOUND)) {
      throw error;
    }
    throw new FusionError(Status.UNAVAILABLE, `storage: what was just stored is not there: ${error.message}`, {
      reason: 'STORAGE_UNAVAILABLE',
      cause: error,
    });
  }
  return stored;
}

/** Opens an object; a range that lies within what was stored lies within the object. */
async function open(objects: ObjectStore, key: string, stored: StoredObject, part: ByteRange | undefined) {
  try {
    return await objects.open(key, part);
  } catch (error) {
    const isShort = error instanceof FusionError && error.code === Status.OUT_OF_RANGE && part!.start < stored.bytes;
    throw isShort ? damaged(key, `ends before byte ${part!.start} of ${stored.bytes}`) : error;
  }
}

async function* verify(
  source: AsyncIterable<Uint8Array>,
  key: string,
  length: number,
  sha256: string | undefined,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let count = 0;
  // Held back until it is known to be right.
  let last: Uint8Array | undefined;
  for await (const chunk of explainBreaks(source)) {
    count += chunk.length;
    if (count > length) {
      throw damaged(key, `gives more than ${length} bytes`);
    }
    hash.update(chunk);
    if (last) {
      yield last;
    }
    last = chunk;
  }
  if (count < length) {
    throw damaged(key, `ends after ${count} of ${length} bytes`);
  }
  if (sha256 !== undefined && hash.digest('hex') !== sha256) {
    throw damaged(key, 'has another SHA-256 than was stored');
  }
  if (last) {
    yield last;
  }
}

async function* explainBreaks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    if (error instanceof FusionError || isAbortError(error)) {
      throw error;
    }
    throw new FusionError(Status.UNAVAILABLE, `storage: an object broke off: ${(error as Error).message}`, {
      reason: 'STORAGE_UNAVAILABLE',
      cause: error,
    });
  }
}

function damaged(key: string, how: string): FusionError {
  return new FusionError(Status.DATA_LOSS, `storage: object "${key}" is damaged: it ${how}`, {
    reason: 'OBJECT_DAMAGED',
  });
}
