import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FileHashes } from '../../kit/file-hashes.ts';
import type { Logger } from '../../kit/log.ts';
import { Scheduler } from '../batching/scheduler.ts';
import { internal, unavailable } from '../errors.ts';
import { ModelInstance } from '../execution/model-instance.ts';
import type { Provider } from '../execution/session-messages.ts';
import type { Model } from '../model.ts';
import { Statistics } from '../statistics.ts';
import { completeFromModel, completeInstanceGroups } from './complete-config.ts';
import { pathWithin, requireFile } from './config-paths.ts';
import { ModelFiles } from './model-files.ts';
import { readLabels } from './model-folder.ts';
import type { ModelSource } from './model-source.ts';
import { optimizedFileOf, presentFile, writeOptimized } from './optimized-graphs.ts';
import { checkSessionParameters, intraOpThreads } from './session-parameters.ts';
import { refuseUnsupported, validateBackend, validateInstanceGroups, validateTensors } from './validate-config.ts';
import { validateSignature } from './validate-signature.ts';
import { warmUp } from './warm-up.ts';

/** How models are run; see the server's options of the same names. */
export interface ExecutionOptions {
  autoComplete: boolean;
  intraOpThreads: number;
  provider: Provider;
  maxInstancesPerModel: number;
  maxQueueSize: number;
  /** Folder for graphs as ONNX Runtime optimizes them; undefined: none are kept. */
  optimizedFolder: string | undefined;
  /** Hashes of model files. */
  hashes: FileHashes;
  log: Logger;
  /** Aborts when the server begins to stop: warm-ups end. */
  signal: AbortSignal;
  /** Takes over an instance that is being closed but still in a run. */
  awaitLater: (closing: Promise<void>) => void;
}

/** Loads one version of an ONNX model and warms it up. Rejects with INVALID_ARGUMENT or INTERNAL and the reason. */
export async function loadOnnxModel(source: ModelSource, version: bigint, options: ExecutionOptions): Promise<Model> {
  const declared = completeInstanceGroups(source.config);
  validateBackend(declared);
  refuseUnsupported(declared);
  checkSessionParameters(declared);
  validateInstanceGroups(declared);
  const field = `default_model_filename of model '${declared.name}'`;
  const modelFile = pathWithin(source.folder, join(String(version), declared.defaultModelFilename), field);
  if (!requireFile(modelFile, field)) {
    throw internal(`unable to find '${modelFile}' for model '${declared.name}'`);
  }
  const files = await ModelFiles.open(source.folder, version, options.hashes);
  const optimized =
    options.optimizedFolder !== undefined && options.provider === 'cpu' && files.content !== undefined
      ? await optimizedFileOf(options.optimizedFolder, modelFile, files.content)
      : undefined;
  const start = async () => {
    // A session that loads cannot be interrupted, so none is begun while the server stops.
    if (options.signal.aborted) {
      throw unavailable('the server is stopping');
    }
    const instance = await ModelInstance.start({
      modelFile,
      intraOpThreads: intraOpThreads(declared, options.intraOpThreads),
      provider: options.provider,
      optimizedFile: await presentFile(optimized),
    });
    try {
      await files.requireUnchanged();
      return instance;
    } catch (error) {
      await instance.close();
      throw error;
    }
  };
  const discard = async (instance: ModelInstance) => {
    const isRunning = !instance.isIdle;
    const closing = instance.close();
    if (isRunning) {
      options.awaitLater(closing);
    } else {
      await closing;
    }
  };
  const first = await start();
  try {
    const config = options.autoComplete ? completeFromModel(declared, first.signature) : declared;
    validateTensors(config);
    validateSignature(config, first.signature);
    const statistics = new Statistics();
    const labels = readLabels(source.folder, config);
    await warmUp(first, config, source.folder, statistics, options.signal);
    const startWarm = async () => {
      const instance = await start();
      try {
        await warmUp(instance, config, source.folder, statistics, options.signal);
        return instance;
      } catch (error) {
        await discard(instance);
        throw error;
      }
    };
    const instances = config.instanceGroup.reduce((sum, group) => sum + group.count, 0);
    const scheduler = new Scheduler({
      config,
      statistics,
      log: options.log,
      first,
      startInstance: startWarm,
      maxInstances: Math.min(instances, options.maxInstancesPerModel),
      maxQueueSize: options.maxQueueSize,
    });
    // A session of bfloat16 has another graph.
    const tensors = [...first.signature.inputs, ...first.signature.outputs];
    const isPlain = tensors.every(({ runtimeType }) => runtimeType !== 'bfloat16');
    if (optimized !== undefined && isPlain && !existsSync(optimized)) {
      const writing = writeOptimized(optimized, modelFile, () => files.requireUnchanged(), options.signal);
      options.awaitLater(
        writing.catch((err: unknown) => options.log.debug({ model: config.name, err }, 'no optimized graph is kept')),
      );
    }
    return {
      name: config.name,
      version,
      config,
      statistics,
      labels,
      infer: (request, signal) => scheduler.submit(request, signal),
      close: () => scheduler.close(),
    };
  } catch (error) {
    await discard(first);
    throw error;
  }
}
