import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { abortable } from '../../kit/abortable.ts';
import { toFusionError } from '../../kit/errors.ts';
import { runBatch } from '../batching/run-batch.ts';
import { invalidArgument, unavailable } from '../errors.ts';
import type { ModelInstance } from '../execution/model-instance.ts';
import type { Statistics } from '../statistics.ts';
import { readWarmupSamples, sampleFailure, type WarmupSample } from './warmup-samples.ts';

/** Other loads wait for a warm-up. */
const maxWarmupSeconds = 60;

/**
 * Runs every sample of the configuration's `model_warmup` on a new instance; the runs count in the model's statistics,
 * as Triton's do. Rejects with INVALID_ARGUMENT at the first sample that fails or after `maxSeconds`, with UNAVAILABLE once
 * `signal` aborts, and with what `readWarmupSamples` throws. After a timeout or an abort the instance may still be in a run.
 *
 * @param folder of the model
 */
export async function warmUp(
  instance: ModelInstance,
  config: ModelConfig,
  folder: string,
  statistics: Statistics,
  signal: AbortSignal,
  maxSeconds = maxWarmupSeconds,
): Promise<void> {
  const ended = new AbortController();
  const stop = () => ended.abort(unavailable(`the warm-up of model '${config.name}' ended: the server is stopping`));
  const expire = () =>
    ended.abort(invalidArgument(`model_warmup of model '${config.name}' must take at most ${maxSeconds} s`));
  const timer = setTimeout(expire, maxSeconds * 1000);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) {
    stop();
  }
  try {
    for (const sample of readWarmupSamples(config, folder)) {
      for (let run = 0; run < sample.runs; run++) {
        ended.signal.throwIfAborted();
        await abortable(ended.signal, runSample(instance, sample, config, statistics));
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

async function runSample(
  instance: ModelInstance,
  sample: WarmupSample,
  config: ModelConfig,
  statistics: Statistics,
): Promise<void> {
  const { request, batchSize } = sample;
  if (batchSize > Math.max(1, config.maxBatchSize)) {
    const instanceName = `${config.instanceGroup[0]!.name}_0`;
    throw sampleFailure(sample, `batch size ${batchSize} for '${instanceName}', max allowed is ${config.maxBatchSize}`);
  }
  try {
    const { started, ended, durations } = await runBatch(instance, Array(batchSize).fill(request), config);
    statistics.countRun(batchSize, durations);
    for (let item = 0; item < batchSize; item++) {
      statistics.countSuccess(1, ended - started, 0n, durations);
    }
  } catch (error) {
    throw sampleFailure(sample, toFusionError(error).message);
  }
}
