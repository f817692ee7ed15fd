import { rm } from 'node:fs/promises';
import { openDataFolder } from '../gateway/data-folder.ts';
import { openGatewayData } from '../gateway/gateway-data.ts';
import { singleRoute } from '../gateway/models/model-route.ts';
import { openProvenance } from '../gateway/provenance/open-provenance.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { type RunningGateway, startGateway } from '../gateway/start-gateway.ts';
import { startInferenceServer } from '../services/inference/server.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import type { Logger } from '../services/kit/log.ts';
import { openScope } from '../services/kit/scope.ts';
import { readSettings, type Settings, type Values } from '../services/kit/settings.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import type { ServerTls } from '../services/kit/tls.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { awaitEachStage, forEachStage, type StageName } from '../services/pipeline/stages.ts';
import { type PreparedStage, prepareStage, startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';
import { localAddress } from './local-address.ts';
import { signedWeights } from './signed-weights.ts';
import { stageServices } from './stages.ts';

/** A preset with the parsed settings of all services. */
export interface PreparedMesh {
  preset: Preset;
  stages: Readonly<Record<StageName, PreparedStage>>;
  stageSettings: Values<typeof stageSettings>;
  inferenceSettings: Values<typeof inferenceSettings>;
  gatewaySettings: Values<typeof gatewaySettings>;
}

export interface MeshOptions {
  /** Model repository of the embedded inference server. */
  repository: string;
  /** Where the gateway listens. Default: a local socket. */
  gatewayAddress?: string;
  /** Where the gateway serves HTTP and the page. Default: no HTTP. */
  httpAddress?: string | undefined;
  /** For the gateway's callers; the private sockets inside need none. Default: no TLS. */
  tls?: ServerTls | undefined;
  /** Warnings added to every job. */
  warnings: string[];
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

/** Reads the settings of all services. Throws INVALID_ARGUMENT naming the settings at fault. */
export function prepareMesh(preset: Preset): PreparedMesh {
  return {
    preset,
    stageSettings: readSettings(stageSettings),
    inferenceSettings: readSettings(inferenceSettings),
    gatewaySettings: readSettings(gatewaySettings),
    stages: forEachStage((name) => prepareStage(stageServices[name], preset)),
  };
}

/**
 * Starts every service of the mesh in this process on local sockets: the same code as in separate processes. `stop` ends them
 * from front to back, so that no service calls one that has stopped.
 */
export function startMesh(mesh: PreparedMesh, options: MeshOptions): Promise<RunningGateway> {
  const { log } = options;
  return openScope(options.signal, async (scope) => {
    const provenance = await openProvenance(mesh.gatewaySettings, log);
    const folder = makeTemporaryFolder();
    scope.defer(() => rm(folder, { recursive: true, force: true }));
    // First, because models cannot be interrupted while they load: a wrong folder is reported at once.
    const dataFolder = await scope.open(() => openDataFolder(mesh.gatewaySettings.dataFolder));
    // The database starts in parallel with the models, which take longer.
    const opening = scope.open((signal) => openGatewayData({ ...mesh.gatewaySettings, dataFolder, log, signal }));
    const serving = scope.open((signal) =>
      startInferenceServer({
        intraOpThreads: mesh.inferenceSettings.intraOpThreads,
        maxQueueSize: mesh.inferenceSettings.maxQueueSize,
        repository: options.repository,
        address: localAddress(folder, 'inference'),
        log,
        signal,
      }),
    );
    const [data, inference] = await Promise.all([opening, serving]);
    const running = await awaitEachStage((name) =>
      scope.open((signal) =>
        startStage(mesh.stages[name], {
          ...mesh.stageSettings,
          address: localAddress(folder, name),
          inferenceAddress: inference.address,
          // Measured: no faster within one process.
          sharedMemory: 'off',
          log,
          signal,
        }),
      ),
    );
    const gateway = await scope.open(async (signal) =>
      startGateway({
        ...mesh.gatewaySettings,
        ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
        address: options.gatewayAddress ?? localAddress(folder, 'gateway'),
        httpAddress: options.httpAddress,
        routes: [
          singleRoute({
            preset: mesh.preset,
            stageAddresses: forEachStage((name) => running[name].address),
            warnings: options.warnings,
            weights: await signedWeights(mesh.preset, mesh.gatewaySettings, options.signal),
          }),
        ],
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
