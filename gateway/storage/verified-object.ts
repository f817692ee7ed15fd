import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import { Status } from 'nice-grpc-common';
import { FusionError, isAbortError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import {
  type ByteRange,
  type ObjectStore,
  type OpenedObject,
  outOfRange,
  type PutOptions,
  type StoredObject,
} from './object-store.ts';
import { blockHashes, verifyBlocks, wholeBlocks } from './verify-blocks.ts';

/** Maximum size in bytes of an object without block hashes that is read whole before serving its first range. */
const maxCheckedBytes = 64 << 20;

type Verdict = 'whole' | 'damaged';

/** Results of complete reads of objects without block hashes, by {@link checkName}. */
const verdicts = new LRUCache<string, Verdict>({ max: 10_000 });

/**
 * Opens an object, or a range of it, and verifies that it is unchanged since it was stored. The size is checked before
 * the first byte, and each block by its hash before any of its bytes is delivered, the first one before this resolves.
 * Throws and fails with DATA_LOSS for a changed object and UNAVAILABLE if the store fails while reading; throws whatever
 * {@link ObjectStore.open} throws.
 *
 * Objects stored by earlier releases have no hashes of blocks. Their stream fails rather than deliver surplus bytes, and
 * it fails before the last bytes if some are missing or (for a whole object) the hash is wrong, so a reader never
 * mistakes damaged data for complete data. Of those, an object of at most 64 MiB is verified as a whole before its first
 * range is served; ranges of a larger one are refused once a complete read has found damage.
 */
export async function openVerified(
  objects: ObjectStore,
  key: string,
  stored: StoredObject,
  range?: ByteRange,
): Promise<Readable> {
  if (range && range.start >= stored.bytes) {
    throw outOfRange(range, key);
  }
  const part = range && (range.start > 0 || range.end < stored.bytes - 1) ? range : undefined;
  const hashes = blockHashes(stored);
  return hashes ? openBlocks(objects, key, stored, hashes, part) : openUnhashed(objects, key, stored, part);
}

async function openBlocks(
  objects: ObjectStore,
  key: string,
  stored: StoredObject,
  hashes: readonly string[],
  part: ByteRange | undefined,
): Promise<Readable> {
  const last = stored.bytes - 1;
  const range = { start: part?.start ?? 0, end: Math.min(part?.end ?? last, last) };
  const opened = await openSized(objects, key, stored, part && wholeBlocks(range, stored.bytes));
  const blocks = verifyBlocks(explainBreaks(opened.stream), stored, hashes, range, (how) => damaged(key, how));
  const first = await blocks.next().catch((error) => {
    opened.stream.destroy();
    throw error;
  });
  const all = async function* () {
    if (!first.done) {
      yield first.value;
      yield* blocks;
    }
  };
  return endingWith(opened, all());
}

async function openUnhashed(
  objects: ObjectStore,
  key: string,
  stored: StoredObject,
  part: ByteRange | undefined,
): Promise<Readable> {
  const opened = await openSized(objects, key, stored, part);
  if (!part) {
    return verified(opened, key, stored.bytes, { ...stored, checkName: checkName(key, stored, opened) });
  }
  const verdict = verdicts.get(checkName(key, stored, opened));
  if (verdict === 'damaged') {
    opened.stream.destroy();
    throw otherHash(key);
  }
  if (verdict === undefined && stored.bytes <= maxCheckedBytes) {
    opened.stream.destroy();
    await readWhole(objects, key, stored);
    return verifiedPart(await openSized(objects, key, stored, part), key, stored, part);
  }
  return verifiedPart(opened, key, stored, part);
}

/**
 * Stores an object and reads it back, because some buckets lose or change data. Throws UNAVAILABLE if it differs, so
 * that the caller stores it again; throws whatever {@link ObjectStore.put} throws.
 */
export async function putVerified(
  objects: ObjectStore,
  key: string,
  body: Readable | Uint8Array,
  options: PutOptions,
): Promise<StoredObject> {
  const stored = await objects.put(key, body, options);
  try {
    await readWhole(objects, key, stored, options.signal);
  } catch (error) {
    if (!(error instanceof FusionError) || (error.code !== Status.DATA_LOSS && error.code !== Status.NOT_FOUND)) {
      throw error;
    }
    throw new FusionError(Status.UNAVAILABLE, `storage: the object just stored cannot be read back: ${error.message}`, {
      reason: 'STORAGE_UNAVAILABLE',
      cause: error,
    });
  }
  return stored;
}

/** Reads an object to its end, which verifies it. */
async function readWhole(objects: ObjectStore, key: string, stored: StoredObject, signal?: AbortSignal): Promise<void> {
  for await (const _ of await openVerified(objects, key, stored)) {
    signal?.throwIfAborted();
  }
}

/** Identifies one version of an object together with its expected content. */
function checkName(key: string, { sha256 }: StoredObject, { version }: OpenedObject): string {
  return `${key} ${sha256} ${version}`;
}

/** Opens an object and checks its size. */
async function openSized(objects: ObjectStore, key: string, stored: StoredObject, part: ByteRange | undefined) {
  const opened = await open(objects, key, part);
  if (opened.bytes !== stored.bytes) {
    opened.stream.destroy();
    throw damaged(key, `has ${opened.bytes} bytes, not the ${stored.bytes} that were stored`);
  }
  return opened;
}

function verifiedPart(opened: OpenedObject, key: string, { bytes }: StoredObject, { start, end }: ByteRange): Readable {
  return verified(opened, key, Math.min(end, bytes - 1) - start + 1);
}

function verified(opened: OpenedObject, key: string, length: number, whole?: WholeObject): Readable {
  return endingWith(opened, verify(opened.stream, key, length, whole));
}

/** A stream of an object's verified bytes. */
function endingWith({ stream }: OpenedObject, bytes: AsyncIterable<Uint8Array>): Readable {
  const checked = Readable.from(bytes, { objectMode: false });
  // Needed if the stream is destroyed before it is read: then the generator never runs.
  return checked.once('close', () => stream.destroy());
}

/** Opens an object; a range within the stored size must be within the object. */
async function open(objects: ObjectStore, key: string, part: ByteRange | undefined) {
  try {
    return await objects.open(key, part);
  } catch (error) {
    const isShort = error instanceof FusionError && error.code === Status.OUT_OF_RANGE;
    throw isShort ? damaged(key, `ends before byte ${part!.start}`) : error;
  }
}

interface WholeObject {
  sha256: string;
  checkName: string;
}

async function* verify(
  source: AsyncIterable<Uint8Array>,
  key: string,
  length: number,
  whole: WholeObject | undefined,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let count = 0;
  // Held back until verified.
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
  if (whole) {
    const isSame = hash.digest('hex') === whole.sha256;
    verdicts.set(whole.checkName, isSame ? 'whole' : 'damaged');
    if (!isSame) {
      throw otherHash(key);
    }
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
    throw new FusionError(Status.UNAVAILABLE, `storage: reading an object was interrupted: ${reasonOf(error)}`, {
      reason: 'STORAGE_UNAVAILABLE',
      cause: error,
    });
  }
}

function otherHash(key: string): FusionError {
  return damaged(key, 'has another SHA-256 than was stored');
}

function damaged(key: string, how: string): FusionError {
  return lost(`object "${key}" is damaged: it ${how}`);
}

/** DATA_LOSS for a missing object. */
export function objectGone(key: string, cause: unknown): FusionError {
  return lost(`object "${key}" is gone`, cause);
}

function lost(how: string, cause?: unknown): FusionError {
  return new FusionError(Status.DATA_LOSS, `storage: ${how}`, { reason: 'OBJECT_DAMAGED', cause });
}
