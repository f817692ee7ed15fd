import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { Status } from 'nice-grpc-common';
import type { Video } from '../gateway/client/video.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { Scope } from '../services/kit/scope.ts';
import { type FrameRateName, frameRateNames, loadPreset, modelNames } from '../services/pipeline/preset.ts';
import { TritonClient } from '../services/triton/triton-client.ts';
import { networkCalls } from '../triton-models/describe/network-calls.ts';
import type { MeasuredModel, Measurements } from './capacity/measurements.ts';
import { outsideSeconds } from './capacity/outside-seconds.ts';
import { requireServerAddress } from './gateway-address.ts';
import { clientTls, connectGateway } from './gateway-client.ts';
import { interruptSignal } from './interrupt.ts';
import { choiceFlag, parseSize } from './video-options.ts';

interface MeasureOptions {
  preset: string;
  fps?: FrameRateName;
  size?: string;
  address?: string;
  video?: string;
  output?: string;
}

/** A running server responds at once. */
const timeoutSeconds = 10;

export function measureModelsCommand(): Command {
  return new Command('measure')
    .description(
      'Read batch times of each model from inference servers, for `plan --measured`. ' +
        'They must have made videos of a single kind since they started.',
    )
    .argument(
      '<host:port...>',
      "addresses of the inference servers (Triton's gRPC protocol), which together serve all models",
    )
    .option('--preset <name>', "name of a preset, or the path of a preset's .json file", 'nano')
    .addOption(choiceFlag('--fps <rate>', "frame rate of those videos (default: the preset's)", frameRateNames))
    .option('--size <WxH>', "size of those videos (default: the preset's)")
    .option('--address <host:port>', 'address of the gateway, for --video')
    .option(
      '--video <id>',
      'one of those videos, made while no other ran: adds the time its stages took outside their backends',
    )
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .action(measure);
}

async function measure(addresses: string[], options: MeasureOptions): Promise<void> {
  for (const address of addresses) {
    requireServerAddress('address', address);
  }
  const preset = loadPreset(options.preset);
  const size = options.size === undefined ? preset.frameSize.default : parseSize(options.size);
  const tls = await clientTls();
  const scope = new Scope(interruptSignal());
  const { signal } = scope;
  try {
    const findVideo =
      options.video === undefined ? undefined : await videoFinder(scope, options.video, options.address);
    const servers = addresses.map((address) =>
      scope.add(new TritonClient({ address, sharedMemory: 'off', ...(tls && { tls }) })),
    );
    const models: Measurements['models'] = {};
    const video = { ...size, frameRate: options.fps ?? preset.defaultFrameRate };
    // Some models are called only if a picture is given.
    const called = networkCalls(preset, video).flatMap(({ model, times }) => (times > 0 ? [model] : []));
    for (const name of new Set([...Object.values(modelNames), ...called]) as Set<keyof Measurements['models']>) {
      models[name] = await measureModel(servers, name, signal);
    }
    const measured: Measurements = { preset: preset.name, video, models };
    if (findVideo) {
      const outside = outsideSeconds(preset, measured, await findVideo());
      for (const [name, model] of Object.entries(models)) {
        model.outsideSeconds = outside[name] ?? 0;
      }
    }
    const text = `${JSON.stringify(measured, undefined, 2)}\n`;
    if (options.output === undefined) {
      process.stdout.write(text);
    } else {
      await writeFile(options.output, text);
    }
  } finally {
    await scope.close();
  }
}

async function videoFinder(scope: Scope, id: string, address: string | undefined): Promise<() => Promise<Video>> {
  if (address === undefined) {
    throw invalidField('--address', undefined, 'the gateway that made --video');
  }
  const client = scope.add(await connectGateway(address));
  return () => client.get(id, { signal: scope.signal });
}

/** A model's batches on all servers that have it. */
async function measureModel(
  servers: readonly TritonClient[],
  name: string,
  signal: AbortSignal,
): Promise<MeasuredModel> {
  const found = (await Promise.all(servers.map((server) => askServer(server, name, signal)))).flatMap(
    (one) => one ?? [],
  );
  const sums = new Map<number, { count: number; seconds: number }>();
  for (const { items, count, seconds } of found.flatMap(({ batches }) => batches)) {
    const known = sums.get(items) ?? { count: 0, seconds: 0 };
    sums.set(items, { count: known.count + count, seconds: known.seconds + seconds });
  }
  const batches = [...sums]
    .map(([items, { count, seconds }]) => ({ items, seconds: seconds / count }))
    .sort((a, b) => a.items - b.items);
  if (batches.length === 0) {
    const addresses = servers.map(({ address }) => address).join(', ');
    const problem = found.length === 0 ? 'is not loaded' : 'has not run since it was loaded; make a few videos first';
    throw new FusionError(Status.FAILED_PRECONDITION, `${name} at ${addresses} ${problem}`, {
      reason: 'NOTHING_MEASURED',
    });
  }
  const maxBatchSize = Math.max(1, ...found.map((server) => server.maxBatchSize));
  return { batches, maxBatchSize, startSeconds: 0, outsideSeconds: 0, retryRate: 0 };
}

/** Batches of a model on one server, with the seconds of all of each size; undefined: it does not have the model. */
async function askServer(triton: TritonClient, name: string, signal: AbortSignal) {
  const options = { signal, timeoutSeconds };
  if (!(await triton.models.isReady(name, options))) {
    return undefined;
  }
  const [statistics, { maxBatchSize }] = await Promise.all([
    triton.models.statistics(name, options),
    triton.models.config(name, options),
  ]);
  const batches = statistics
    .flatMap(({ batchStats }) => batchStats)
    .map(({ batchSize, computeInput, computeInfer, computeOutput }) => ({
      items: Number(batchSize),
      count: Number(computeInfer?.count ?? 0n),
      seconds: Number((computeInput?.ns ?? 0n) + (computeInfer?.ns ?? 0n) + (computeOutput?.ns ?? 0n)) / 1e9,
    }))
    .filter(({ count }) => count > 0);
  return { batches, maxBatchSize };
}
