import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import { decodeTensorFile, encodeTensorFile } from '../../../services/pipeline/safetensors/tensor-file.ts';
import type { Tensor } from '../../../services/pipeline/tensor.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { openVerified, putVerified } from '../../storage/verified-object.ts';
import { keptResultKey, resultKey } from '../object-keys.ts';
import type { StoredResult } from '../store/leases.ts';

/** Stores a stage's output in full precision. @param isKept whether it outlives its job's end */
export async function saveResult(
  objects: ObjectStore,
  { id, attempt }: { id: string; attempt: number },
  stage: string,
  tensors: Readonly<Record<string, Tensor>>,
  isKept: boolean,
  signal: AbortSignal,
): Promise<{ key: string; bytes: number; sha256: string }> {
  const key = (isKept ? keptResultKey : resultKey)(id, attempt, stage);
  const body = encodeTensorFile(tensors);
  const options = { mediaType: 'application/octet-stream', signal };
  const { bytes, sha256 } = await putVerified(objects, key, body, options);
  return { key, bytes, sha256 };
}

/** Pauses before a result that looks damaged is read again, milliseconds. */
const rereadPauses = [250, 1000, 3000, 6000];

/** {@link loadResult}, patiently. */
export function loadResultPatiently(
  objects: ObjectStore,
  stage: string,
  stored: StoredResult,
  signal: AbortSignal,
): Promise<Map<string, Tensor>> {
  return readPatiently(() => loadResult(objects, stage, stored), signal);
}

/** Reads a damaged or missing object again: the store may have erred only in its answer. */
export async function readPatiently<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (const milliseconds of rereadPauses) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof FusionError && error.code === Status.DATA_LOSS)) {
        throw error;
      }
    }
    await pause(milliseconds, undefined, { signal });
  }
  return read();
}

/**
 * Reads a stage's output from an earlier attempt. Throws DATA_LOSS when it is missing or has changed, and UNAVAILABLE
 * when the store fails while reading.
 */
export async function loadResult(objects: ObjectStore, stage: string, stored: StoredResult) {
  return readStored(objects, `The stored result of ${stage}`, stored, async (file) => decodeTensorFile(file));
}

/** Reads and decodes an object that a job needs. Throws like {@link loadResult}; `what` names the object. */
export async function readStored<T>(
  objects: ObjectStore,
  what: string,
  stored: StoredResult,
  decode: (file: Buffer) => Promise<T>,
): Promise<T> {
  const lost = (why: string, cause: unknown) =>
    new FusionError(Status.DATA_LOSS, `${what} ${why}`, { reason: 'RESULT_LOST', cause });
  try {
    return await decode(await buffer(await openVerified(objects, stored.key, stored)));
  } catch (error) {
    if (error instanceof FusionError && error.code === Status.NOT_FOUND) {
      throw lost('is missing', error);
    }
    if (error instanceof RangeError || (error instanceof FusionError && error.code === Status.DATA_LOSS)) {
      throw lost(`is damaged: ${error.message}`, error);
    }
    throw error;
  }
}
