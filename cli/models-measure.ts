import { writeFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../services/kit/errors.ts';
import { type FrameRateName, frameRateNames, loadPreset, modelNames } from '../services/kit/preset.ts';
import { TritonClient } from '../services/triton/triton-client.ts';
import type { MeasuredModel, Measurements } from './capacity/measurements.ts';
import { interruptSignal } from './interrupt.ts';
import { parseSize } from './video-options.ts';

interface MeasureOptions {
  preset: string;
  fps?: FrameRateName;
  size?: string;
  output?: string;
}

/** Statistics of a server that answers at all are there at once. */
const timeoutSeconds = 10;

export function measureModelsCommand(): Command {
  return new Command('measure')
    .description(
      'Read from an inference server how long batches of each model took since it started, for `plan --measured`. ' +
        'Let it make videos of one kind before.',
    )
    .argument('<host:port>', "address of the inference server (Triton's gRPC protocol)")
    .option('--preset <name>', "name of a preset, or the path of a preset's .json file", 'nano')
    .addOption(new Option('--fps <rate>', "frames of those videos (default: the preset's)").choices(frameRateNames))
    .option('--size <WxH>', "size of those videos (default: the preset's)")
    .option('-o, --output <file>', 'where to write it (default: standard output)')
    .action(measure);
}

async function measure(address: string, options: MeasureOptions): Promise<void> {
  const preset = loadPreset(options.preset);
  const size = options.size === undefined ? preset.frameSize.default : parseSize(options.size);
  const triton = new TritonClient({ address, sharedMemory: 'off' });
  try {
    const signal = interruptSignal();
    const models = {} as Measurements['models'];
    for (const name of Object.values(modelNames)) {
      models[name] = await measureModel(triton, name, signal);
    }
    const video = { ...size, frameRate: options.fps ?? preset.defaultFrameRate };
    const text = `${JSON.stringify({ preset: preset.name, video, models } satisfies Measurements, undefined, 2)}\n`;
    if (options.output === undefined) {
      process.stdout.write(text);
    } else {
      await writeFile(options.output, text);
    }
  } finally {
    await triton.close();
  }
}

async function measureModel(triton: TritonClient, name: string, signal: AbortSignal): Promise<MeasuredModel> {
  const options = { signal, timeoutSeconds };
  const [statistics, { maxBatchSize }] = await Promise.all([
    triton.models.statistics(name, options),
    triton.models.config(name, options),
  ]);
  const batches = statistics
    .flatMap(({ batchStats }) => batchStats)
    .map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
      items: Number(batchSize),
      seconds:
        Number((computeInput?.ns ?? 0n) + (computeInfer?.ns ?? 0n) + (computeOutput?.ns ?? 0n)) /
        1e9 /
        Number(computeInfer?.count ?? 0n),
    }))
    .filter(({ seconds }) => seconds > 0);
  if (batches.length === 0) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${name} at ${triton.address} has not run since it was loaded; make a few videos first`,
      { reason: 'NOTHING_MEASURED' },
    );
  }
  return { batches, maxBatchSize: Math.max(1, maxBatchSize), startSeconds: 0, retryRate: 0 };
}
