import { setTimeout as sleep } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import type { ModelConfig } from '../../proto/gen/model_config.ts';
import { FusionError, isAbortError, toFusionError } from '../kit/errors.ts';
import { formatTable } from '../kit/table.ts';
import { compareModel } from './compare-model.ts';
import type { ExpectedModel } from './expected-model.ts';
import type { TritonClient } from './triton-client.ts';

const retryMilliseconds = 250;
const rebuild = 'If an earlier release built it, run `fusionframes models build` again.';
/** Timeout of a call to a server that may be starting. */
const callSeconds = 10;

/**
 * Waits until the server answers and has the model, then compares the model with what the stage sends and reads. Throws
 * FAILED_PRECONDITION with a table of all differences, or with the server's models when this one does not appear in time;
 * UNAVAILABLE or DEADLINE_EXCEEDED when no server answers in time.
 *
 * @returns the model's configuration; undefined if the server does not give it
 */
export async function expectModel(
  triton: TritonClient,
  expected: ExpectedModel,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<ModelConfig | undefined> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  for (;;) {
    try {
      return await checkModel(triton, expected, signal);
    } catch (thrown) {
      const error = toFusionError(thrown);
      if (isAbortError(thrown) || error.reason === 'MODEL_MISMATCH') {
        throw thrown;
      }
      if (Date.now() > deadline) {
        throw await withModels(triton, error, signal);
      }
    }
    await sleep(retryMilliseconds, undefined, { signal });
  }
}

async function checkModel(
  triton: TritonClient,
  expected: ExpectedModel,
  signal: AbortSignal,
): Promise<ModelConfig | undefined> {
  const version = triton.modelVersion;
  const options = { signal, timeoutSeconds: callSeconds, ...(version !== undefined && { version }) };
  const metadata = await triton.models.metadata(expected.name, options);
  const config = await triton.models.config(expected.name, options).catch((error) => {
    // An extension of the protocol that a server may lack.
    if (toFusionError(error).code === Status.UNIMPLEMENTED) {
      return undefined;
    }
    throw error;
  });
  const differences = compareModel(expected, metadata, config?.maxBatchSize);
  if (differences.length > 0) {
    const rows = differences.map(({ what, expected, found }) => [what, expected, found]);
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `model ${expected.name} on ${triton.address} does not fit the preset:\n${table(['', 'expected', 'found'], rows)}\n${rebuild}`,
      { reason: 'MODEL_MISMATCH' },
    );
  }
  return config;
}

/** The error with the server's models, if it answers. */
async function withModels(triton: TritonClient, error: FusionError, signal: AbortSignal): Promise<FusionError> {
  const options = { signal, timeoutSeconds: callSeconds };
  const models = await triton.repository.index(options).catch(() => undefined);
  if (!models) {
    return error;
  }
  const rows = models.map(({ name, version, state, reason }) => [name, version, state || 'not loaded', reason.trim()]);
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `${error.message}\nThe server has these models:\n${table(['model', 'version', 'state', 'reason'], rows)}`,
    { reason: 'MODEL_UNUSABLE', cause: error },
  );
}

function table(headings: string[], rows: string[][]): string {
  return formatTable(headings, rows).trimEnd();
}
