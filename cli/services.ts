import { openGatewayData } from '../gateway/gateway-data.ts';
import { gatewaySettings, stageAddressSettings } from '../gateway/settings.ts';
import { type RunningGateway, startGateway } from '../gateway/start-gateway.ts';
import { requireRepository, startInferenceServer } from '../services/inference/server.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import { readTritonFlags, type TritonFlags } from '../services/inference/triton-flags.ts';
import { createLogger, type Logger, type LogLevel } from '../services/kit/log.ts';
import type { ProcessTls } from '../services/kit/process-tls.ts';
import type { Scope } from '../services/kit/scope.ts';
import type { RunningServer } from '../services/kit/serve.ts';
import { readSettings, type Settings } from '../services/kit/settings.ts';
import type { Preset } from '../services/pipeline/preset.ts';
import { forEachStage, type StageName, stages } from '../services/pipeline/stages.ts';
import { prepareStage, type Stage, startStage } from '../services/triton/stage.ts';
import { stageSettings } from '../services/triton/stage-settings.ts';
import { ensureRepository } from '../triton-models/packaging/ensure-repository.ts';
import { weightsWarnings } from '../triton-models/packaging/weights-warnings.ts';
import { meshSettings, prepareMesh, startMesh } from './mesh.ts';
import { stageServices } from './stages.ts';

type Running = RunningServer & Partial<Pick<RunningGateway, 'httpAddress'>>;

/** What a service needs to start. */
export interface Start {
  address: string;
  preset: Preset;
  log: Logger;
  tls: ProcessTls | undefined;
  scope: Scope;
}

/**
 * Reads a service's settings and `flags`, which follow `--` on the command line, and returns the function that starts it.
 * Throws INVALID_ARGUMENT.
 */
type Prepare = (preset: Preset, flags: readonly string[]) => (start: Start) => Promise<Running>;

/** A service that `serve` can run. */
export interface ServedService {
  /** Its settings besides those of every process. */
  settings: readonly Settings[];
  /** Whether it takes flags after `--`. */
  takesFlags?: true;
  /** What it loads, as shown on a terminal. */
  loads?: (preset: Preset) => string;
  prepare: Prepare;
}

/** Every service of the mesh, in one process. */
export const wholeMesh: ServedService = {
  settings: meshSettings,
  loads: ({ name }) =>
    `${name} (${Object.values(stages)
      .map(({ model }) => model)
      .join(', ')})`,
  prepare: (preset) => {
    const mesh = prepareMesh(preset);
    return async ({ address, log, tls, scope }) => {
      const repository = await ensureRepository(preset, { signal: scope.signal });
      return scope.open((signal) =>
        startMesh(mesh, {
          repository: repository.folder,
          gatewayAddress: address,
          httpAddress: mesh.gatewaySettings.httpAddress,
          warnings: repository.warnings,
          log,
          signal,
          tls: tls?.publicServer,
        }),
      );
    };
  },
};

const inference: ServedService = {
  settings: [inferenceSettings],
  takesFlags: true,
  prepare: (preset, args) => {
    const settings = readSettings(inferenceSettings);
    const flags = readTritonFlags(args);
    const named = flags.repository ?? settings.repository;
    if (named !== '') {
      requireRepository(
        flags.repository === undefined ? inferenceSettings.repository.name : '--model-repository',
        named,
      );
    }
    return async ({ address, log: usualLog, tls, scope }) => {
      const repository = named || (await ensureRepository(preset, { signal: scope.signal })).folder;
      const file = flags.options.logging?.log_file;
      const log = file ? createLogger('inference', usualLog.level as LogLevel, file) : usualLog;
      return scope.open(() =>
        startInferenceServer({
          ...settings,
          allowSharedMemory: settings.allowSharedMemory === 'on',
          ...flags.options,
          repository,
          address: replaceAddress(address, flags),
          log,
          ...(tls && { tls: tls.server }),
        }),
      );
    };
  },
};

function replaceAddress(address: string, { host, port }: TritonFlags): string {
  if (host === undefined && port === undefined) {
    return address;
  }
  const [, usualHost = '127.0.0.1', usualPort = '8001'] = /^(.*):(\d+)$/.exec(address) ?? [];
  return `${host ?? usualHost}:${port ?? usualPort}`;
}

const gateway: ServedService = {
  settings: [gatewaySettings, stageAddressSettings],
  prepare: () => {
    const settings = readSettings(gatewaySettings);
    const stageAddresses = readSettings(stageAddressSettings);
    return async ({ address, preset, log, tls, scope }) => {
      const data = await scope.open((signal) => openGatewayData({ ...settings, log, signal }));
      const warnings = await weightsWarnings(preset);
      return scope.open((signal) =>
        startGateway({
          ...settings,
          address,
          preset,
          stageAddresses,
          warnings,
          data,
          log,
          serverTls: tls?.publicServer,
          stageTls: tls?.client,
          signal,
        }),
      );
    };
  },
};

function servedStage(stage: Stage): ServedService {
  return {
    settings: [stageSettings, stage.settings],
    loads: ({ name }) => name,
    prepare: (preset) => {
      const settings = readSettings(stageSettings);
      const prepared = prepareStage(stage, preset);
      return ({ address, log, tls, scope }) =>
        scope.open((signal) => startStage(prepared, { ...settings, address, log, tls, signal }));
    },
  };
}

export type ServiceName = StageName | 'gateway' | 'inference';

/** By their names on the command line. */
export const services: Readonly<Record<ServiceName, ServedService>> = {
  gateway,
  ...forEachStage((name) => servedStage(stageServices[name])),
  inference,
};
