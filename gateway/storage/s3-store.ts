import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Status } from 'nice-grpc-common';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
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
import { s3Error } from './s3-error.ts';
import type { S3Location } from './storage-location.ts';

// The pinned release runs on every supported Node version, so its warning about later releases is noise.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/** Size of an upload part in bytes, kept in memory for retries. S3 allows 10,000 parts: 80 GiB. */
const partBytes = 8 << 20;

/** Concurrent parts of an upload. */
const partsAtOnce = 2;

const removalsAtOnce = 16;

/** Attempts per request, with growing pauses. */
const maxAttempts = 5;

/** How long listing or removing may take with all attempts, in milliseconds. */
const answerMilliseconds = 15_000;

/**
 * Objects in a bucket of S3 or a server that speaks its protocol. Credentials, region and endpoint come from
 * AWS's usual sources (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, a pod's or machine's role, …).
 */
export class S3Store implements ObjectStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Empty, or ending with `/`. */
  readonly #prefix: string;

  private constructor(client: S3Client, { bucket, prefix }: S3Location) {
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
  }

  /** Throws FAILED_PRECONDITION if the bucket denies access, UNAVAILABLE if there is no response. */
  static async open(location: S3Location): Promise<S3Store> {
    const ownEndpoint = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL;
    const client = new S3Client({
      maxAttempts,
      // MinIO, Ceph and the like have no host name per bucket and no regions.
      forcePathStyle: Boolean(ownEndpoint),
      ...(ownEndpoint && !process.env.AWS_REGION && { region: 'us-east-1' }),
      // These checksums are supported only by newer servers.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000 },
    });
    const store = new S3Store(client, location);
    try {
      // Deletes a nonexistent object: some servers cannot answer a truncated list page.
      await store.#list(`${store.#prefix}readiness`);
    } catch (error) {
      client.destroy();
      throw error;
    }
    return store;
  }

  async put(key: string, body: Readable | Uint8Array, { mediaType, signal }: PutOptions): Promise<StoredObject> {
    requireKey(key);
    const measure = new Measure();
    const source = body instanceof Readable ? body : Readable.from([body], { objectMode: false });
    let broken: unknown;
    source.on('error', (error) => {
      broken = error;
      measure.destroy(error);
    });
    const upload = new Upload({
      client: this.#client,
      params: { Bucket: this.#bucket, Key: this.#prefix + key, Body: source.pipe(measure), ContentType: mediaType },
      partSize: partBytes,
      queueSize: partsAtOnce,
    });
    // Rejects immediately. Parts in progress finish; the next read finds the body destroyed, and all parts are removed.
    const abort = () => void upload.abort();
    measure.on('error', () => {});
    signal?.addEventListener('abort', abort, { once: true });
    try {
      signal?.throwIfAborted();
      await upload.done();
      return measure.finish();
    } catch (error) {
      source.destroy();
      measure.destroy(new Error('The upload was abandoned'));
      signal?.throwIfAborted();
      throw broken === undefined ? s3Error(error) : toFusionError(broken);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async open(key: string, range?: ByteRange, signal?: AbortSignal): Promise<OpenedObject> {
    requireKey(key);
    requireRange(range);
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + key,
          ...(range && { Range: `bytes=${range.start}-${range.end}` }),
        }),
        { ...(signal && { abortSignal: signal }) },
      );
      return range ? openedPart(key, answer, range) : openedWhole(answer);
    } catch (error) {
      signal?.throwIfAborted();
      const { name } = error as Error;
      if (name === 'NoSuchKey' || name === 'NotFound') {
        throw noSuchObject(key);
      }
      throw range && name === 'InvalidRange' ? outOfRange(range, key) : s3Error(error);
    }
  }

  async removeAll(prefix: string): Promise<void> {
    const below = `${this.#prefix}${requirePrefix(prefix)}/`;
    let next: string | undefined;
    do {
      const page = await this.#list(below, next);
      const keys = (page.Contents ?? []).map(({ Key }) => Key as string);
      for (let first = 0; first < keys.length; first += removalsAtOnce) {
        await Promise.all(keys.slice(first, first + removalsAtOnce).map((key) => this.#remove(key)));
      }
      next = page.NextContinuationToken;
    } while (next !== undefined);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #list(prefix: string, token?: string): Promise<ListObjectsV2CommandOutput> {
    const list = new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, ContinuationToken: token });
    return inTime((abortSignal) => this.#client.send(list, { abortSignal }));
  }

  /** Deletes one by one, because not every server supports bulk deletes. */
  async #remove(key: string): Promise<void> {
    const remove = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key });
    await inTime((abortSignal) => this.#client.send(remove, { abortSignal }));
  }
}

/** The result of a request, which fails with UNAVAILABLE if it takes too long. */
async function inTime<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = timeLimit(answerMilliseconds);
  try {
    return await send(limit.signal);
  } catch (error) {
    throw limit.isOver
      ? new FusionError(Status.UNAVAILABLE, `storage: no answer within ${answerMilliseconds / 1000} seconds`, {
          reason: 'STORAGE_UNAVAILABLE',
          cause: error,
        })
      : s3Error(error);
  } finally {
    limit.end();
  }
}

function openedWhole({ Body, ContentLength }: GetObjectCommandOutput): OpenedObject {
  return { bytes: Number(ContentLength), stream: Body as Readable };
}

/** Throws FAILED_PRECONDITION if the server returned a different range than requested. */
function openedPart(key: string, answer: GetObjectCommandOutput, range: ByteRange): OpenedObject {
  const { ContentRange } = answer;
  if (ContentRange === undefined) {
    return cutPart(key, openedWhole(answer), range);
  }
  const stream = answer.Body as Readable;
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange) ?? [];
  if (Number(start) !== range.start) {
    stream.destroy();
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `storage: the server answered "${ContentRange}" to a request for bytes from ${range.start} on`,
      { reason: 'STORAGE_REFUSED' },
    );
  }
  return { bytes: Number(total), stream };
}

/** A range of an object from a server that ignores ranges, as HTTP allows. */
function cutPart(key: string, { bytes, stream }: OpenedObject, range: ByteRange): OpenedObject {
  if (range.start >= bytes) {
    stream.destroy();
    throw outOfRange(range, key);
  }
  const part = Readable.from(cut(stream, range), { objectMode: false });
  // Needed if it is destroyed before it is read: then the generator never runs.
  part.once('close', () => stream.destroy());
  return { bytes, stream: part };
}

async function* cut(source: AsyncIterable<Uint8Array>, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of source) {
    const wanted = chunk.subarray(Math.max(0, start - position), end + 1 - position);
    if (wanted.length > 0) {
      yield wanted;
    }
    position += chunk.length;
    if (position > end) {
      return;
    }
  }
}
