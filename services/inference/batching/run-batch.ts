import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import type { ModelInstance } from '../execution/model-instance.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import type { RunDurations } from '../statistics.ts';
import { joinRequests, splitOutputs } from './batch.ts';

/** A run of several requests as one batch. Times are `process.hrtime.bigint()`. */
export interface BatchRun {
  /** Each request's outputs, in the order of the requests. */
  readonly outputs: readonly ModelOutputs[];
  readonly started: bigint;
  readonly ended: bigint;
  readonly durations: RunDurations;
}

/** Runs requests as one batch on an idle instance. Rejects as `ModelInstance.run` and `splitOutputs` do. */
export async function runBatch(
  instance: ModelInstance,
  requests: readonly ModelRequest[],
  config: ModelConfig,
): Promise<BatchRun> {
  const started = process.hrtime.bigint();
  const result = await instance.run(joinRequests(requests));
  const returned = process.hrtime.bigint();
  const outputs = splitOutputs(result, requests, config);
  const ended = process.hrtime.bigint();
  const durations: RunDurations = {
    // Time between the threads, neither joining nor running, counts as input.
    computeInput: returned - started - result.computeNanoseconds,
    computeInfer: result.computeNanoseconds,
    computeOutput: ended - returned,
  };
  return { outputs, started, ended, durations };
}
