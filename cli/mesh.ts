import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openGatewayData } from '../gateway/gateway-data.ts';
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
import { stageServices } from './stages.ts';

/** The mesh of a preset, with every setting of its services read. */
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
  /** Where the gateway serves; default a local socket. */
  gatewayAddress?: string;
  /** Where the gateway serves HTTP and the page. Default: it does not. */
  httpAddress?: string | undefined;
  /** For the gateway's callers; inside, sockets that others cannot open need none. Default: no TLS. */
  tls?: ServerTls | undefined;
  /** What every job should tell its caller. */
  warnings: string[];
  log: Logger;
  /** Ends a start that is under way. */
  signal: AbortSignal;
  /** Jobs worked on at once; default: the gateway's setting. */
  concurrentJobs?: number;
}

/** What the services take from the environment. */
export const meshSettings: readonly Settings[] = [
  stageSettings,
  inferenceSettings,
  gatewaySettings,
  ...Object.values(stageServices).map((stage) => stage.settings),
];

/** Reads what the services take from the environment. Throws INVALID_ARGUMENT naming the settings at fault. */
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
 * Starts every service of the mesh in this process, on local sockets: the same code as apart, at other addresses.
 * `stop` ends them from the front to the back, so that nothing calls what has gone.
 */
export function startMesh(mesh: PreparedMesh, options: MeshOptions): Promise<RunningGateway> {
  const { log } = options;
  return openScope(options.signal, async (scope) => {
    const folder = makeTemporaryFolder();
    scope.defer(() => rm(folder, { recursive: true, force: true }));
    // The database starts beside the models, which take longer.
    const opening = scope.open((signal) => openGatewayData({ ...mesh.gatewaySettings, log, signal }));
    const serving = scope.open(() =>
      startInferenceServer({
        intraOpThreads: mesh.inferenceSettings.intraOpThreads,
        maxQueueSize: mesh.inferenceSettings.maxQueueSize,
        repository: options.repository,
        address: localAddress(folder, 'inference'),
        log,
      }),
    );
    const [data, inference] = await Promise.all([opening, serving]);
    const running = await awaitEachStage((name) =>
      scope.open((signal) =>
        startStage(mesh.stages[name], {
          ...mesh.stageSettings,
          address: localAddress(folder, name),
          inferenceAddress: inference.address,
          // Within one process it was no faster.
          sharedMemory: 'off',
          log,
          signal,
        }),
      ),
    );
    const gateway = await scope.open((signal) =>
      startGateway({
        ...mesh.gatewaySettings,
        ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
        address: options.gatewayAddress ?? localAddress(folder, 'gateway'),
        httpAddress: options.httpAddress,
        preset: mesh.preset,
        stageAddresses: forEachStage((name) => running[name].address),
        data,
        warnings: options.warnings,
        log,
        serverTls: options.tls,
        signal,
      }),
    );
    return { ...gateway, stop: () => scope.close() };
  });
}

/** A socket in a folder of our own, which other users of the machine cannot open; Windows has loopback ports instead. */
function localAddress(folder: string, name: string): string {
  return process.platform === 'win32' ? '127.0.0.1:0' : `unix://${join(folder, `${name}.sock`)}`;
}
