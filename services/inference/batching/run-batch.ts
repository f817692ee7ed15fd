import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { FusionError, toFusionError } from '../../kit/errors.ts';
import type { ModelInstance } from '../execution/model-instance.ts';
import type { RunResult } from '../execution/session-messages.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import type { RunDurations } from '../statistics.ts';
import { inMemory } from '../tensors.ts';
import { joinRequests, splitOutputs } from './batch.ts';

/** A run of several requests as one batch. Times are `process.hrtime.bigint()`. */
export interface BatchRun {
  /** Each request's outputs, or why its inputs cannot be read, in the order of the requests. */
  readonly outputs: readonly (ModelOutputs | FusionError)[];
  readonly started: bigint;
  readonly ended: bigint;
  readonly durations: RunDurations;
}

/**
 * Runs requests as one batch on an idle instance. Rejects as `ModelInstance.run` and `splitOutputs` do, and with the first reason
 * if no request's inputs can be read.
 */
export async function runBatch(
  instance: ModelInstance,
  requests: readonly ModelRequest[],
  config: ModelConfig,
): Promise<BatchRun> {
  const started = process.hrtime.bigint();
  const loaded = requests.length === 1 ? requests : requests.map(load);
  const runnable = loaded.filter((request): request is ModelRequest => !(request instanceof FusionError));
  if (runnable.length === 0) {
    throw loaded[0];
  }
  const { run, end } = joinRequests(runnable);
  let result: RunResult;
  try {
    result = await instance.run(run);
  } finally {
    end();
  }
  const returned = process.hrtime.bigint();
  const ofRunnable = splitOutputs(result, runnable, config).values();
  const outputs = loaded.map((request) => (request instanceof FusionError ? request : ofRunnable.next().value!));
  const ended = process.hrtime.bigint();
  const durations: RunDurations = {
    // Time between the threads, neither joining nor running, counts as input.
    computeInput: returned - started - result.computeNanoseconds,
    computeInfer: result.computeNanoseconds,
    computeOutput: ended - returned,
  };
  return { outputs, started, ended, durations };
}

/** The request with all inputs in memory, or why one cannot be read: only its own caller can have made its region shorter. */
function load(request: ModelRequest): ModelRequest | FusionError {
  try {
    return { ...request, inputs: new Map([...request.inputs].map(([name, tensor]) => [name, inMemory(tensor)])) };
  } catch (error) {
    return toFusionError(error);
  }
}
