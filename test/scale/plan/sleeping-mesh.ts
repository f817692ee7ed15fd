import { chmod, rm } from 'node:fs/promises';
import { VideoServiceDefinition } from '../../../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, connect } from '../../../services/kit/channel.ts';
import { makeTemporaryFolder } from '../../../services/kit/temporary-folder.ts';
import type { Preset } from '../../../services/pipeline/preset.ts';
import { addressVariable, type StageName, stageNames } from '../../../services/pipeline/stages.ts';
import { type ServiceProcess, startService } from '../../support/cli.ts';
import { type SleepingBackend, type SleepingBackendOptions, startSleepingBackend } from '../sleeping-backend.ts';

export interface SleepingMesh {
  client: ConnectedClient<VideoServiceDefinition>;
  /** Of its gateway. */
  address: string;
  backends: Record<StageName, SleepingBackend[]>;
  stop(): Promise<void>;
}

export interface SleepingMeshOptions {
  preset: Preset;
  /** Path of the preset's file. */
  presetFile: string;
  /** Backends of each stage, and as many processes of the stage. */
  replicas: Record<StageName, number>;
  backend: Omit<SleepingBackendOptions, 'preset'>;
}

/**
 * The mesh as it is deployed: gateway with PostgreSQL and stages in processes of their own; each stage has its pool of
 * backends behind one name. Only the backends sleep instead of computing.
 */
export async function startSleepingMesh(options: SleepingMeshOptions): Promise<SleepingMesh> {
  const folder = makeTemporaryFolder();
  // Root's PostgreSQL runs as another user.
  await chmod(folder, 0o711);
  const common = { FUSIONFRAMES_PRESET: options.presetFile, FUSIONFRAMES_LOG_LEVEL: 'error' };
  const services: ServiceProcess[] = [];
  const start = async (name: string, environment: Record<string, string>) => {
    const service = await startService(name, { ...common, ...environment });
    services.push(service);
    return service.address;
  };
  const backends = {} as Record<StageName, SleepingBackend[]>;
  const addresses: Record<string, string> = {};
  for (const stage of stageNames) {
    const replicas = Array.from({ length: options.replicas[stage] });
    const pool = replicas.map(() => startSleepingBackend({ preset: options.preset, ...options.backend }));
    backends[stage] = await Promise.all(pool);
    const inference = together(backends[stage].map(({ address }) => address));
    const processes = replicas.map(() => start(stage, { FUSIONFRAMES_INFERENCE_ADDRESS: inference }));
    addresses[addressVariable(stage)] = together(await Promise.all(processes));
  }
  const gateway = await start('gateway', {
    ...addresses,
    FUSIONFRAMES_DATA_FOLDER: folder,
    FUSIONFRAMES_HTTP_ADDRESS: 'off',
    FUSIONFRAMES_CONCURRENT_JOBS: '1000',
  });
  const { client, close } = connect(VideoServiceDefinition, gateway);
  return {
    client,
    address: gateway,
    backends,
    async stop() {
      close();
      // Callers before the servers they call.
      for (const service of services.reverse()) {
        await service.stop();
      }
      await Promise.all(Object.values(backends).flatMap((pool) => pool.map((backend) => backend.stop())));
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

function together(addresses: readonly string[]): string {
  return addresses.length === 1 ? addresses[0]! : `ipv4:${addresses.join(',')}`;
}
