import { rm } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { startInferenceServer } from '../services/inference/server.ts';
import { abortable } from '../services/kit/abortable.ts';
import { FusionError, toFusionError } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { Scope } from '../services/kit/scope.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import { expectModel } from '../services/triton/expect-model.ts';
import { expectNetwork } from '../services/triton/expected-model.ts';
import { modelContent } from '../services/triton/model-content.ts';
import { TritonClient } from '../services/triton/triton-client.ts';
import type { JudgeWeights } from '../triton-models/metrics/judge-weights.ts';
import type { RunModel } from '../triton-models/metrics/run-model.ts';
import { ensureModels } from '../triton-models/packaging/ensure-repository.ts';
import { weightsParameter } from '../triton-models/packaging/model-config.ts';
import { featureModels } from '../triton-models/packaging/model-set.ts';
import type { ServedModel } from '../triton-models/packaging/served-models.ts';
import type { FeatureNetworks } from '../triton-models/sources/feature-networks.ts';
import { localAddress } from './local-address.ts';
import { showStart } from './progress.ts';

export interface JudgeOptions {
  /** `host:port` of a Triton or embedded server with the models. Default: served in this process. */
  inference?: string | undefined;
  /** Use random weights if there is no checkpoint. */
  randomWeights?: boolean | undefined;
}

/** Networks that judge videos, ready to run. */
export interface ServedJudges {
  run: RunModel;
  weights: JudgeWeights;
  /** Identifies the loaded graphs and weights, and where they are served. */
  content: string;
  close(): Promise<void>;
}

/** Models to serve together. */
export interface NamedModels {
  /** The model to pull for its weights. */
  name: string;
  isPublished: boolean;
  models: readonly ServedModel[];
  /** Name of the model repository. */
  folder: string;
}

const waitSeconds = 30;

/** Serves networks that judge videos, see {@link serveModels}. */
export function serveJudges(
  networks: FeatureNetworks,
  options: JudgeOptions,
  signal: AbortSignal,
): Promise<ServedJudges> {
  const { name, sources, models } = featureModels(networks);
  return serveModels({ name, folder: name, isPublished: sources !== undefined, models: models() }, options, signal);
}

/**
 * Serves models in this process or connects to a server that has them. Throws NOT_FOUND if their weights are missing.
 */
export async function serveModels(set: NamedModels, options: JudgeOptions, signal: AbortSignal): Promise<ServedJudges> {
  const { models } = set;
  const scope = new Scope(signal);
  try {
    const here =
      options.inference === undefined ? await serveHere(set, options.randomWeights ?? false, scope) : undefined;
    const triton = scope.add(new TritonClient({ address: here?.address ?? options.inference! }));
    for (const model of models) {
      await expectModel(triton, expectNetwork(model.name, 1, model.interface), waitSeconds, signal);
    }
    const names = models.map((model) => model.name);
    const contents = await Promise.all(names.map((each) => modelContent(triton, each, signal)));
    return {
      content: JSON.stringify([options.inference, ...contents]),
      run: (model, inputs) => triton.infer({ model, inputs, signal }),
      weights: here?.weights ?? (await remoteWeights(triton, names, signal)),
      close: () => scope.close(),
    };
  } catch (error) {
    await scope.close().catch(() => {});
    throw error;
  }
}

/** Reads from the models' configuration whether this program built them with random weights. */
async function remoteWeights(
  triton: TritonClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<JudgeWeights> {
  for (const name of names) {
    const { parameters } = await triton.models.config(name, { signal });
    if (parameters[weightsParameter]?.stringValue === 'random') {
      return 'random';
    }
  }
  return 'remote';
}

async function serveHere(
  { name, models, folder: repositoryName, isPublished }: NamedModels,
  allowsRandom: boolean,
  scope: Scope,
): Promise<{ address: string; weights: JudgeWeights }> {
  const showReady = showStart(process.stderr, name);
  const repository = await abortable(
    scope.signal,
    ensureModels(repositoryName, models, { allowsRandom, signal: scope.signal }),
  ).catch((error: unknown) => {
    throw explainMissing(error, isPublished ? `run \`fusionframes models pull ${name}\`` : 'put it there');
  });
  const folder = makeTemporaryFolder();
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  const server = await scope.open((signal) =>
    startInferenceServer({
      repository: repository.folder,
      address: localAddress(folder, 'inference'),
      log: createLogger('fusionframes', 'warn'),
      signal,
    }),
  );
  showReady();
  const isRandom = repository.models.some(({ weights }) => weights === 'random');
  return { address: server.address, weights: isRandom ? 'random' : 'trained' };
}

function explainMissing(thrown: unknown, advice: string): unknown {
  const error = toFusionError(thrown);
  const { message, reason } = error;
  return reason === 'CHECKPOINT_NOT_FOUND'
    ? new FusionError(Status.NOT_FOUND, `${message}: ${advice}, or try the command with --random-weights`, {
        reason,
        cause: thrown,
      })
    : thrown;
}
