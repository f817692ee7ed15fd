import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { toFusionError } from '../../kit/errors.ts';
import { runBatch } from '../batching/run-batch.ts';
import { invalidArgument } from '../errors.ts';
import type { ModelInstance } from '../execution/model-instance.ts';
import type { Statistics } from '../statistics.ts';
import { readWarmupSamples, type WarmupSample } from './warmup-samples.ts';

const maxReasons = 64;

/**
 * Runs every sample of the configuration's `model_warmup` on a new instance; the runs count in the model's statistics,
 * as Triton's do. Rejects with INVALID_ARGUMENT, at the first sample that fails, and with what `readWarmupSamples` throws.
 *
 * @param folder of the model
 */
export async function warmUp(
  instance: ModelInstance,
  config: ModelConfig,
  folder: string,
  statistics: Statistics,
): Promise<void> {
  for (const sample of readWarmupSamples(config, folder)) {
    for (let run = 0; run < sample.runs; run++) {
      await runSample(instance, sample, config, statistics);
    }
  }
}

async function runSample(
  instance: ModelInstance,
  { name, request, batchSize, foreignInput }: WarmupSample,
  config: ModelConfig,
  statistics: Statistics,
): Promise<void> {
  // Triton's text has the same reason once for each request of the batch, however large.
  const fail = (reason: string) =>
    invalidArgument(`failed to run warmup sample '${name}': ${`${reason}; `.repeat(Math.min(batchSize, maxReasons))}`);
  if (batchSize > Math.max(1, config.maxBatchSize)) {
    const instanceName = `${config.instanceGroup[0]!.name}_0`;
    throw fail(`batch size ${batchSize} for '${instanceName}', max allowed is ${config.maxBatchSize}`);
  }
  if (foreignInput !== undefined) {
    throw fail(`Failed to retrieve the ONNX input tensor info from '${foreignInput}'.`);
  }
  try {
    const { started, ended, durations } = await runBatch(instance, Array(batchSize).fill(request), config);
    statistics.countRun(batchSize, durations);
    for (let item = 0; item < batchSize; item++) {
      statistics.countSuccess(1, ended - started, 0n, durations);
    }
  } catch (error) {
    throw fail(toFusionError(error).message);
  }
}
