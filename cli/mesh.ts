import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelRoute, singleRoute } from '../gateway/models/model-route.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import type { RunningGateway } from '../gateway/start-gateway.ts';
import { startInferenceServer } from '../services/inference/server.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import { invalidField } from '../services/kit/errors.ts';
import type { Logger } from '../services/kit/log.ts';
import { openScope, type Scope } from '../services/kit/scope.ts';
import { readSettings, type Settings, type Values } from '../services/kit/settings.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import type { ServerTls } from '../services/kit/tls.ts';
import type { MergedLora } from '../services/pipeline/loras.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { forEachStage, type StageName, stageNames } from '../services/pipeline/stages.ts';
import { type PreparedStage, prepareStage, startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';
import { openGatewayParts } from './gateway-parts.ts';
import { localAddress } from './local-address.ts';
import { signedWeights } from './signed-weights.ts';
import { stageServices } from './stages.ts';

/** A preset with its stages. */
interface PreparedModel {
  preset: Preset;
  stages: Readonly<Record<StageName, PreparedStage>>;
}

/** Presets with the parsed settings of all services. */
export interface PreparedMesh {
  models: readonly [PreparedModel, ...PreparedModel[]];
  stageSettings: Values<typeof stageSettings>;
  inferenceSettings: Values<typeof inferenceSettings>;
  gatewaySettings: Values<typeof gatewaySettings>;
}

/** A preset's model repository, for the embedded inference server. */
export interface MeshRepository {
  folder: string;
  /** Warnings added to every job of the preset. */
  warnings: readonly string[];
}

/** The first preset with LoRAs in some of its models. */
export interface MeshVersion {
  version: string;
  loras: readonly MergedLora[];
  /** Folder with the models of its own stages. */
  repository: string;
  /** Stages that it has itself; the others are the preset's. */
  stages: readonly StageName[];
}

export interface MeshOptions {
  /** Of each preset, in order. */
  repositories: readonly MeshRepository[];
  /** Default: none. */
  versions?: readonly MeshVersion[];
  /** Where the gateway listens. Default: a local socket. */
  gatewayAddress?: string;
  /** Where the gateway serves HTTP and the page. Default: no HTTP. */
  httpAddress?: string | undefined;
  /** For the gateway's callers; the private sockets between services need none. Default: no TLS. */
  tls?: ServerTls | undefined;
  log: Logger;
  /** Aborts the start. */
  signal: AbortSignal;
  /** Concurrent jobs. Default: the gateway's setting. */
  concurrentJobs?: number;
}

/** Settings of all services. */
export const meshSettings: readonly Settings[] = [
  stageSettings,
  inferenceSettings,
  gatewaySettings,
  ...Object.values(stageServices).map((stage) => stage.settings),
];

/**
 * Reads the settings of all services. Throws INVALID_ARGUMENT naming the settings at fault, and for two presets of the
 * same name.
 */
export function prepareMesh(presets: readonly [Preset, ...Preset[]]): PreparedMesh {
  const names = presets.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) < index);
  if (repeated !== undefined) {
    throw invalidField('--preset', repeated, 'a different preset each time');
  }
  const prepare = (preset: Preset): PreparedModel => ({
    preset,
    stages: forEachStage((name) => prepareStage(stageServices[name], preset)),
  });
  const [first, ...others] = presets;
  return {
    models: [prepare(first), ...others.map(prepare)],
    stageSettings: readSettings(stageSettings),
    inferenceSettings: readSettings(inferenceSettings),
    gatewaySettings: readSettings(gatewaySettings),
  };
}

/**
 * Starts every service of the mesh in this process on local sockets: the same code as in separate processes. `stop` ends them
 * from front to back, so that no service calls one that has stopped.
 */
export function startMesh(mesh: PreparedMesh, options: MeshOptions): Promise<RunningGateway> {
  const { log } = options;
  return openScope(options.signal, async (scope) => {
    const folder = makeTemporaryFolder();
    scope.defer(() => rm(folder, { recursive: true, force: true }));
    // First, because models cannot be interrupted while they load: a wrong folder is reported at once. The database starts
    // in parallel with the models, which take longer.
    const settings = { ...mesh.gatewaySettings, httpAddress: options.httpAddress };
    const parts = await openGatewayParts({ ...settings, address: options.gatewayAddress }, log, scope);
    const { provenance, data: opening } = parts;
    const starting = mesh.models.map((model, index) =>
      startModel(model, mesh, options.repositories[index]!, join(folder, String(index)), log, scope),
    );
    // Imported here, while the models load in threads of their own and the database in a process.
    const importing = import('../gateway/start-gateway.ts');
    const [{ startGateway }, data, ...plain] = await Promise.all([importing, opening, ...starting]);
    const versions = (options.versions ?? []).map((version, index) =>
      startVersion(mesh.models[0], plain[0]!, version, mesh, join(folder, `version-${index}`), log, scope),
    );
    const routes = [...plain, ...(await Promise.all(versions))];
    const gateway = await scope.open((signal) =>
      startGateway({
        ...settings,
        ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
        address: options.gatewayAddress ?? localAddress(folder, 'gateway'),
        routes: routes as [ModelRoute, ...ModelRoute[]],
        data,
        provenance,
        log,
        serverTls: options.tls,
        signal,
      }),
    );
    return { ...gateway, stop: () => scope.close() };
  });
}

/** Starts the inference server and the stages of a preset. */
async function startModel(
  { preset, stages }: PreparedModel,
  mesh: PreparedMesh,
  { folder: repository, warnings }: MeshRepository,
  sockets: string,
  log: Logger,
  scope: Scope,
): Promise<ModelRoute> {
  const addresses = await startStages(stages, stageNames, mesh, repository, sockets, log, scope);
  return singleRoute({
    preset,
    stageAddresses: forEachStage((name) => addresses.get(name)!),
    warnings,
    weights: await signedWeights(preset, mesh.gatewaySettings, scope.signal),
  });
}

/** Starts the stages that a version has itself, with an inference server of their own. */
async function startVersion(
  { preset, stages }: PreparedModel,
  plain: ModelRoute,
  { version, loras, repository, stages: own }: MeshVersion,
  mesh: PreparedMesh,
  sockets: string,
  log: Logger,
  scope: Scope,
): Promise<ModelRoute> {
  const addresses = await startStages(stages, own, mesh, repository, sockets, log, scope);
  const stageAddresses = forEachStage((name) => addresses.get(name) ?? plain.stageAddresses[name]);
  const { warnings } = plain;
  return { ...singleRoute({ preset, stageAddresses, warnings }), version, loras };
}

/** Starts an inference server and stages that call it. Returns their addresses. */
async function startStages(
  stages: PreparedModel['stages'],
  names: readonly StageName[],
  mesh: PreparedMesh,
  repository: string,
  sockets: string,
  log: Logger,
  scope: Scope,
): Promise<ReadonlyMap<StageName, string>> {
  await mkdir(sockets);
  const inference = await scope.open((signal) =>
    startInferenceServer({
      intraOpThreads: mesh.inferenceSettings.intraOpThreads,
      executionProvider: mesh.inferenceSettings.executionProvider,
      maxQueueSize: mesh.inferenceSettings.maxQueueSize,
      repository,
      address: localAddress(sockets, 'inference'),
      log,
      signal,
    }),
  );
  const starting = names.map(async (name) => {
    const { address } = await scope.open((signal) =>
      startStage(stages[name], {
        ...mesh.stageSettings,
        address: localAddress(sockets, name),
        inferenceAddress: inference.address,
        // Shared memory was measured to be no faster within one process.
        sharedMemory: 'off',
        log,
        signal,
      }),
    );
    return [name, address] as const;
  });
  return new Map(await Promise.all(starting));
}
