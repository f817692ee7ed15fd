import { requireRepository, startInferenceServer } from '../../services/inference/server.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import { readTritonFlags, type TritonFlags } from '../../services/inference/triton-flags.ts';
import { createLogger, type LogLevel } from '../../services/kit/log.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { optimizedFolder } from '../../services/pipeline/models-folder.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import type { ServedService } from './served-service.ts';

export const inference: ServedService = {
  settings: [inferenceSettings],
  acceptsFlags: true,
  prepare: ([preset], args) => {
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
      const repository = named || (await builtRepository(preset, scope.signal));
      const file = flags.options.logging?.log_file;
      const log = file ? createLogger('inference', usualLog.level as LogLevel, file) : usualLog;
      return scope.open((signal) =>
        startInferenceServer({
          ...settings,
          allowSharedMemory: settings.allowSharedMemory === 'on',
          ...flags.options,
          optimizedFolder: optimizedFolder(),
          repository,
          address: replaceAddress(address, flags),
          log,
          signal,
          ...(tls && { tls: tls.server }),
        }),
      );
    };
  },
};

async function builtRepository(preset: Preset, signal: AbortSignal): Promise<string> {
  // Imported here, because otherwise the graph builders would be most of the code this service loads.
  const { ensureRepository } = await import('../../triton-models/packaging/ensure-repository.ts');
  return (await ensureRepository(preset, { signal })).folder;
}

function replaceAddress(address: string, { host, port }: TritonFlags): string {
  if (host === undefined && port === undefined) {
    return address;
  }
  const [, usualHost = '127.0.0.1', usualPort = '8001'] = /^(.*):(\d+)$/.exec(address) ?? [];
  return `${host ?? usualHost}:${port ?? usualPort}`;
}
