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

/** Like {@link loadResult}, but reads a damaged or missing result again: the store may have erred only in its answer. */
export async function loadResultPatiently(
  objects: ObjectStore,
  stage: string,
  stored: StoredResult,
  signal: AbortSignal,
): Promise<Map<string, Tensor>> {
  for (const milliseconds of rereadPauses) {
    try {
      return await loadResult(objects, stage, stored);
    } catch (error) {
      if (!(error instanceof FusionError && error.code === Status.DATA_LOSS)) {
        throw error;
      }
    }
    await pause(milliseconds, undefined, { signal });
  }
  return loadResult(objects, stage, stored);
}

/**
 * Reads a stage's output from an earlier attempt. Throws DATA_LOSS when it is missing or has changed, and UNAVAILABLE
 * when the store fails while reading.
 */
export async function loadResult(objects: ObjectStore, stage: string, stored: StoredResult) {
  const lost = (why: string, cause: unknown) =>
    new FusionError(Status.DATA_LOSS, `The stored result of ${stage} ${why}`, { reason: 'RESULT_LOST', cause });
  try {
    return decodeTensorFile(await buffer(await openVerified(objects, stored.key, stored)));
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
