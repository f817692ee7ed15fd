import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LRUCache } from 'lru-cache';
import { Status } from 'nice-grpc-common';
import { abortable } from '../../services/kit/abortable.ts';
import { FusionError, isAbortError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import {
  type ByteRange,
  Measure,
  type ObjectStore,
  type OpenedObject,
  outOfRange,
  type PutOptions,
  type StoredObject,
} from './object-store.ts';
import { blockHashes, verifyBlocks, wholeBlocks } from './verify-blocks.ts';

/** How long a store may give nothing, to opening an object and between its bytes, in seconds. */
const usualSilence = 10;

/** Block hashes of objects of earlier releases, learned from complete reads, by their SHA-256. */
const learned = new LRUCache<string, readonly string[]>({ maxSize: 100_000, sizeCalculation: ({ length }) => length });

/**
 * Opens an object, or a range of it, and verifies that it is unchanged since it was stored. The size is checked before
 * the first byte, and each block by its hash before any of its bytes is delivered, the first one before this resolves. A
 * block that is wrong is read a second time, because it may have been damaged on its way. Throws and fails with DATA_LOSS
 * if it is wrong again, and with UNAVAILABLE if the store fails or is silent while it is read; throws whatever
 * {@link ObjectStore.open} throws.
 *
 * Objects stored by earlier releases have no hashes of blocks, so the first caller waits for a complete read.
 *
 * @param silentSeconds how long the store may give nothing
 */
export async function openVerified(
  objects: ObjectStore,
  key: string,
  stored: StoredObject,
  range?: ByteRange,
  silentSeconds = usualSilence,
): Promise<Readable> {
  if (range && range.start >= stored.bytes) {
    throw outOfRange(range, key);
  }
  const source: Source = { objects, key, stored, silentSeconds };
  const hashes = blockHashes(stored) ?? learned.get(stored.sha256) ?? (await twice(() => learnHashes(source)));
  const last = stored.bytes - 1;
  const wanted = { start: range?.start ?? 0, end: Math.min(range?.end ?? last, last) };
  const blocks = readBlocks(source, hashes, wanted);
  const first = await blocks.next();
  const all = async function* () {
    if (!first.done) {
      yield first.value;
      yield* blocks;
    }
  };
  const stream = Readable.from(all(), { objectMode: false });
  // Needed if the stream is destroyed before it is read: then the generator never runs.
  return stream.once('close', () => void blocks.return(undefined));
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
    for await (const _ of await openVerified(objects, key, stored)) {
      options.signal?.throwIfAborted();
    }
  } catch (error) {
    if (!isWrong(error)) {
      throw error;
    }
    throw new FusionError(
      Status.UNAVAILABLE,
      `storage: the object just stored cannot be read back: ${(error as Error).message}`,
      { reason: 'STORAGE_UNAVAILABLE', cause: error },
    );
  }
  return stored;
}

/** DATA_LOSS for a missing object. */
export function objectGone(key: string, cause: unknown): FusionError {
  return lost(`object "${key}" is gone`, cause);
}

/** A stored object to be read. */
interface Source {
  objects: ObjectStore;
  key: string;
  stored: StoredObject;
  silentSeconds: number;
}

/** Block hashes of an object that was stored without them; throws DATA_LOSS if it has changed. */
async function learnHashes(source: Source): Promise<readonly string[]> {
  const { key, stored } = source;
  const opened = await openSized(source);
  const measure = new Measure();
  await pipeline(readPatiently(opened, source), measure.resume());
  const found = measure.finish();
  if (found.bytes !== stored.bytes) {
    throw damaged(key, `gives ${found.bytes} of ${stored.bytes} bytes`);
  }
  if (found.sha256 !== stored.sha256) {
    throw damaged(key, 'does not match its stored SHA-256');
  }
  const hashes = blockHashes(found)!;
  learned.set(stored.sha256, hashes);
  return hashes;
}

/** Repeats a read whose result was wrong once. */
async function twice<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isWrong(error)) {
      throw error;
    }
    return read();
  }
}

/** The verified blocks of a range. Reads on from a wrong one once. */
async function* readBlocks(
  source: Source,
  hashes: readonly string[],
  { start, end }: ByteRange,
): AsyncGenerator<Uint8Array> {
  let position = start;
  let repeatedFrom: number | undefined;
  for (;;) {
    try {
      for await (const block of readOnce(source, hashes, { start: position, end })) {
        yield block;
        position += block.length;
      }
      return;
    } catch (error) {
      if (!isWrong(error) || position > end || position === repeatedFrom) {
        throw error;
      }
      repeatedFrom = position;
    }
  }
}

async function* readOnce(source: Source, hashes: readonly string[], range: ByteRange): AsyncGenerator<Uint8Array> {
  const { key, stored } = source;
  const isWhole = range.start === 0 && range.end === stored.bytes - 1;
  const opened = await openSized(source, isWhole ? undefined : wholeBlocks(range, stored.bytes));
  try {
    yield* verifyBlocks(readPatiently(opened, source), stored, hashes, range, (how) => damaged(key, how));
  } finally {
    opened.stream.destroy();
  }
}

/** Opens an object, or a range within its stored size, and checks its size. */
async function openSized({ objects, key, stored, silentSeconds }: Source, part?: ByteRange): Promise<OpenedObject> {
  const limit = timeLimit(silentSeconds * 1000);
  const opening = objects.open(key, part, limit.signal);
  try {
    const opened = await abortable(limit.signal, opening);
    if (opened.bytes !== stored.bytes) {
      opened.stream.destroy();
      throw damaged(key, `has ${opened.bytes} bytes, not the ${stored.bytes} that were stored`);
    }
    return opened;
  } catch (error) {
    if (limit.isOver) {
      opening.then(
        ({ stream }) => stream.destroy(),
        () => {},
      );
      throw silent(silentSeconds);
    }
    const isShort = error instanceof FusionError && error.code === Status.OUT_OF_RANGE;
    throw isShort ? damaged(key, `ends before byte ${part!.start}`) : error;
  } finally {
    limit.end();
  }
}

/** The bytes of an object. The time that the reader takes does not count as the store's silence. */
async function* readPatiently({ stream }: OpenedObject, { silentSeconds }: Source): AsyncGenerator<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  const next = () => {
    const timer = setTimeout(() => stream.destroy(silent(silentSeconds)), silentSeconds * 1000);
    return chunks.next().finally(() => clearTimeout(timer));
  };
  try {
    for (let chunk = await next(); !chunk.done; chunk = await next()) {
      yield chunk.value;
    }
  } catch (error) {
    if (error instanceof FusionError || isAbortError(error)) {
      throw error;
    }
    throw unavailable(`reading an object was interrupted: ${reasonOf(error)}`, error);
  } finally {
    stream.destroy();
  }
}

/** Whether the store gave no object or another one than was stored. */
function isWrong(error: unknown): boolean {
  return error instanceof FusionError && (error.code === Status.DATA_LOSS || error.code === Status.NOT_FOUND);
}

function silent(seconds: number): FusionError {
  return unavailable(`the store gave nothing for ${seconds} seconds`);
}

function unavailable(how: string, cause?: unknown): FusionError {
  return new FusionError(Status.UNAVAILABLE, `storage: ${how}`, { reason: 'STORAGE_UNAVAILABLE', cause });
}

function damaged(key: string, how: string): FusionError {
  return lost(`object "${key}" is damaged: it ${how}`);
}

function lost(how: string, cause?: unknown): FusionError {
  return new FusionError(Status.DATA_LOSS, `storage: ${how}`, { reason: 'OBJECT_DAMAGED', cause });
}
