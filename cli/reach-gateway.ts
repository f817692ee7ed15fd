import type { VideoClient } from '../gateway/client/video-client.ts';
import { startThreads } from '../services/inference/execution/session-threads.ts';
import { abortable } from '../services/kit/abortable.ts';
import { commonSettings } from '../services/kit/common-settings.ts';
import { createLogger } from '../services/kit/log.ts';
import { Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { loadPreset, modelNamesOf, type Preset } from '../services/pipeline/preset.ts';
import { clientSettings } from './client-settings.ts';
import { closeInTime } from './close-in-time.ts';
import { showStart } from './progress.ts';

export interface ReachedGateway {
  client: VideoClient;
  close(): Promise<void>;
}

export interface GatewayOptions {
  /** A running gateway; absent: all services start in this process. */
  address?: string;
  /** The preset to run here: a name or the path of its file. */
  preset: string;
  /** Throws for a request that the preset does not allow, before the services start. */
  check?(preset: Preset): void | Promise<void>;
  /** Whether a mesh in this process must encode given keyframes. */
  encodesKeyframes?: boolean;
  /** Concurrent jobs of a mesh in this process. Default: the gateway's setting. */
  concurrentJobs?: number;
}

/** The gateway at the given address, or a whole mesh in this process. */
export async function reachGateway(options: GatewayOptions, signal: AbortSignal): Promise<ReachedGateway> {
  if (options.address !== undefined) {
    const { connectGateway } = await import('./gateway-client.ts');
    const client = await connectGateway(options.address);
    return { client, close: async () => client.close() };
  }
  const preset = loadPreset(options.preset);
  await options.check?.(preset);
  const { apiKey } = readSettings(clientSettings);
  const { drainSeconds } = readSettings(commonSettings);
  const showReady = showStart(process.stderr, 'services');
  const scope = new Scope(signal);
  try {
    // A processor is free until the models load, while this thread imports the program.
    const threads = startThreads(Object.keys(modelNamesOf(preset)).length, scope.signal);
    scope.defer(() => threads);
    const { startMesh } = await import('./mesh.ts');
    const mesh = await scope.open((opening) =>
      startMesh({
        repositories: async () => {
          const { ensureRepository } = await import('../triton-models/packaging/ensure-repository.ts');
          const encoder = options.encodesKeyframes && { encoder: 'always' as const };
          return [await abortable(opening, ensureRepository(preset, { signal: opening, ...encoder }))];
        },
        prepare: async () => (await import('./mesh-stages.ts')).prepareMesh([preset]),
        log: createLogger('fusionframes', 'warn'),
        signal: opening,
        loadsMediaLater: true,
        ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
      }),
    );
    showReady();
    const { connectGrpc } = await import('../gateway/client/grpc-client.ts');
    const client = scope.add(connectGrpc({ address: mesh.address, apiKey }));
    return { client, close: () => closeInTime(scope, 'the services', drainSeconds) };
  } catch (error) {
    await closeInTime(scope, 'the services', undefined).catch(() => {});
    throw error;
  }
}
