import { type ModelRoute, singleRoute } from '../gateway/models/model-route.ts';
import type { Routes } from '../gateway/models/models.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import { invalidField } from '../services/kit/errors.ts';
import type { Logger } from '../services/kit/log.ts';
import type { Scope } from '../services/kit/scope.ts';
import { readSettings, type Settings, type Values } from '../services/kit/settings.ts';
import type { MergedLora } from '../services/pipeline/loras.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { forEachStage, type StageName, stageNames } from '../services/pipeline/stages.ts';
import { type PreparedStage, prepareStage, startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';
import { localAddress } from './local-address.ts';
import { signedWeights } from './signed-weights.ts';
import { stageServices } from './stages.ts';

/** A preset with its stages. */
interface PreparedModel {
  preset: Preset;
  stages: Readonly<Record<StageName, PreparedStage>>;
}

/** Presets with their stages and the parsed settings. */
export interface PreparedMesh {
  models: readonly [PreparedModel, ...PreparedModel[]];
  stageSettings: Values<typeof stageSettings>;
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

/** An inference server and the folder for its socket and those of its stages. */
export interface MeshInference {
  address: string;
  sockets: string;
}

/** Settings of all services. */
export const meshSettings: readonly Settings[] = [
  stageSettings,
  inferenceSettings,
  gatewaySettings,
  ...Object.values(stageServices).map((stage) => stage.settings),
];

/**
 * Reads the settings of all stages. Throws INVALID_ARGUMENT naming the settings at fault, and for two presets of the
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
  return { models: [prepare(first), ...others.map(prepare)], stageSettings: readSettings(stageSettings) };
}

export interface RoutesOptions {
  /** Of each preset, in order. */
  repositories: readonly MeshRepository[];
  versions: readonly MeshVersion[];
  /** Inference servers of the repositories and then of the versions, still starting. */
  servers: readonly Promise<MeshInference>[];
  log: Logger;
  scope: Scope;
}

/** Starts the stages of every preset, and those that versions have themselves, as soon as their models are loaded. */
export async function startRoutes(mesh: PreparedMesh, options: RoutesOptions): Promise<Routes> {
  const { repositories, versions, servers, scope } = options;
  const starting = mesh.models.map(async ({ preset, stages }, index): Promise<ModelRoute> => {
    const addresses = await startStages(stages, stageNames, mesh, servers[index]!, options);
    return singleRoute({
      preset,
      stageAddresses: forEachStage((name) => addresses.get(name)!),
      warnings: repositories[index]!.warnings,
      weights: await signedWeights(preset, readSettings(gatewaySettings), scope.signal),
    });
  });
  const [first, ...others] = (await Promise.all(starting)) as [ModelRoute, ...ModelRoute[]];
  const { preset, stages } = mesh.models[0];
  const adding = versions.map(async ({ version, loras, stages: own }, index): Promise<ModelRoute> => {
    const addresses = await startStages(stages, own, mesh, servers[repositories.length + index]!, options);
    const stageAddresses = forEachStage((name) => addresses.get(name) ?? first.stageAddresses[name]);
    return { ...singleRoute({ preset, stageAddresses, warnings: first.warnings }), version, loras };
  });
  return [first, ...others, ...(await Promise.all(adding))];
}

/** Starts stages that call an inference server. Returns their addresses. */
async function startStages(
  stages: PreparedModel['stages'],
  names: readonly StageName[],
  { stageSettings }: PreparedMesh,
  starting: Promise<MeshInference>,
  { log, scope }: RoutesOptions,
): Promise<ReadonlyMap<StageName, string>> {
  const inference = await starting;
  const started = names.map(async (name) => {
    const { address } = await scope.open((signal) =>
      startStage(stages[name], {
        ...stageSettings,
        address: localAddress(inference.sockets, name),
        inferenceAddress: inference.address,
        // Shared memory was measured to be no faster within one process.
        sharedMemory: 'off',
        log,
        signal,
      }),
    );
    return [name, address] as const;
  });
  return new Map(await Promise.all(started));
}
