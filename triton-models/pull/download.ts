import { Status } from 'nice-grpc-common';
import { explainDiskFull } from '../../services/kit/disk-full.ts';
import { FusionError } from '../../services/kit/errors.ts';
import type { HubFile, HubLocation } from '../checkpoints/hub-file.ts';
import type { HubClient } from './hub-client.ts';
import { PartialFile } from './partial-file.ts';
import { maxFailures, mayPass, type RetryOptions, retry } from './retry.ts';

interface DownloadOptions extends RetryOptions {
  /** Called with the number of bytes received, or found on disk from an earlier attempt. */
  onBytes: (count: number, kind: 'fetched' | 'found') => void;
}

/**
 * Downloads a file, which gets its final name once it is complete and its hash matches. Resumes an earlier download and
 * retries transient failures. Throws DATA_LOSS if the hash is wrong, RESOURCE_EXHAUSTED if the disk is full,
 * UNAVAILABLE if all attempts failed, and whatever {@link HubClient} throws.
 */
export async function downloadFile(
  client: HubClient,
  location: HubLocation,
  file: HubFile,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const partial = await PartialFile.open(file, target, (count) => options.onBytes(count, 'found'), options.signal);
  try {
    if (partial.length < file.size) {
      const attempt = () => receive(client, location, file, partial, options);
      await retry(attempt, options, () => partial.length);
    }
    await partial.finish();
  } catch (error) {
    throw describe(error, file, target, partial.length);
  } finally {
    await partial.close();
  }
}

/** One attempt: appends what arrives. */
async function receive(
  client: HubClient,
  location: HubLocation,
  file: HubFile,
  partial: PartialFile,
  { onBytes }: DownloadOptions,
): Promise<void> {
  const { startsAt, content } = await client.open(location, partial.length);
  if (startsAt !== partial.length) {
    onBytes(-partial.length, 'found');
    await partial.restart();
  }
  if (startsAt !== partial.length) {
    throw new FusionError(Status.UNAVAILABLE, `hub: the response starts at byte ${startsAt}, which was not requested`);
  }
  for await (const piece of content) {
    if (partial.length + piece.byteLength > file.size) {
      await partial.restart();
      throw new FusionError(Status.DATA_LOSS, `hub: the response is longer than the announced ${file.size} bytes`);
    }
    await partial.append(piece);
    onBytes(piece.byteLength, 'fetched');
  }
  if (partial.length < file.size) {
    throw new FusionError(Status.UNAVAILABLE, `hub: the response ended after ${partial.length} of ${file.size} bytes`);
  }
}

function describe(error: unknown, file: HubFile, target: string, length: number): unknown {
  const kept = `${length} of ${file.size} bytes are kept; the same command resumes there`;
  if (mayPass(error)) {
    const { message, reason } = error;
    const { retryAfterSeconds } = error;
    const when =
      retryAfterSeconds === undefined
        ? `gave up after ${maxFailures} attempts`
        : `the hub requires ${retryAfterSeconds} s between requests`;
    const text = `${target}: ${when}: ${message}; ${kept}`;
    return new FusionError(Status.UNAVAILABLE, text, { reason, cause: error });
  }
  return explainDiskFull(error, target, { detail: kept });
}
