import { createLogger } from '../services/kit/log.ts';
import { loadPreset, type Preset } from '../services/pipeline/preset.ts';
import { clientTls, type GatewayClient, gatewayClient } from './gateway-client.ts';
import { showStart } from './progress.ts';

export interface ReachedGateway {
  client: GatewayClient;
  close(): Promise<void>;
}

export interface GatewayWish {
  /** A gateway that runs elsewhere; absent: the whole mesh is started in this process. */
  address?: string;
  /** What is run here: a preset's name or the path of its file. */
  preset: string;
  /** Throws for what the preset does not allow, before the services are started for nothing. */
  check?(preset: Preset): void;
  /** Jobs that a mesh in this process works on at once; default: the setting's. */
  concurrentJobs?: number;
}

/** The gateway at the address given, or the whole mesh in this process. */
export async function reachGateway(wish: GatewayWish, signal: AbortSignal): Promise<ReachedGateway> {
  if (wish.address !== undefined) {
    const { client, close } = gatewayClient(wish.address, await clientTls());
    return { client, close: async () => close() };
  }
  const preset = loadPreset(wish.preset);
  wish.check?.(preset);
  const showReady = showStart(process.stderr, 'services');
  const [{ ensureRepository }, { startMesh }] = await Promise.all([
    import('../triton-models/packaging/ensure-repository.ts'),
    import('./mesh.ts'),
  ]);
  const repository = await ensureRepository(preset, { signal });
  const mesh = await startMesh({
    preset,
    repository: repository.folder,
    warnings: repository.warnings,
    log: createLogger('fusionframes', 'warn'),
    signal,
    ...(wish.concurrentJobs !== undefined && { concurrentJobs: wish.concurrentJobs }),
  });
  showReady();
  const { client, close } = gatewayClient(mesh.address);
  return {
    client,
    async close() {
      close();
      await mesh.stop();
    },
  };
}
