import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { loadMedia } from '../gateway/media/load-media.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import type { RunningGateway } from '../gateway/start-gateway.ts';
import { startInferenceServer } from '../services/inference/server.ts';
import { inferenceSettings } from '../services/inference/settings.ts';
import type { Logger } from '../services/kit/log.ts';
import { openScope, type Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { makeTemporaryFolder } from '../services/kit/temporary-folder.ts';
import type { ServerTls } from '../services/kit/tls.ts';
import { optimizedFolder } from '../services/pipeline/models-folder.ts';
import { openGatewayParts } from './gateway-parts.ts';
import { localAddress } from './local-address.ts';
import type { MeshInference, MeshRepository, MeshVersion, PreparedMesh } from './mesh-stages.ts';

export interface MeshOptions {
  /** Finds or builds the models of each preset, in order. */
  repositories: () => Promise<readonly MeshRepository[]>;
  /** The same for versions. Default: none. */
  versions?: () => Promise<readonly MeshVersion[]>;
  /** Imports and prepares the stages. */
  prepare: () => PreparedMesh | Promise<PreparedMesh>;
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
  /** Whether the encoders may be missing at first: the first video loads them, or fails. Default: the mesh does not start without. */
  loadsMediaLater?: boolean;
}

/**
 * Starts every service of the mesh in this process on local sockets: the same code as in separate processes. `stop` ends them
 * from front to back, so that no service calls one that has stopped.
 *
 * What takes long begins first: the database starts, and the models load in threads of their own, while this thread imports the
 * rest of the program.
 */
export function startMesh(options: MeshOptions): Promise<RunningGateway> {
  const { log } = options;
  return openScope(options.signal, async (scope) => {
    const folder = makeTemporaryFolder();
    scope.defer(() => rm(folder, { recursive: true, force: true }));
    const settings = { ...readSettings(gatewaySettings), httpAddress: options.httpAddress };
    const parts = await openGatewayParts({ ...settings, address: options.gatewayAddress }, log, scope);
    const repositories = await options.repositories();
    const versions = (await options.versions?.()) ?? [];
    const servers = [...repositories.map(({ folder }) => folder), ...versions.map(({ repository }) => repository)].map(
      (repository, index) => startInference(repository, join(folder, String(index)), log, scope),
    );
    const startAll = async () => {
      const mesh = await options.prepare();
      const { startRoutes } = await import('./mesh-stages.ts');
      return startRoutes(mesh, { repositories, versions, servers, log, scope });
    };
    const [routes, { startGateway }, data] = await Promise.all([
      startAll(),
      import('../gateway/start-gateway.ts'),
      parts.data,
      options.loadsMediaLater ? undefined : loadMedia(),
      ...servers,
    ]);
    const gateway = await scope.open((signal) =>
      startGateway({
        ...settings,
        ...(options.concurrentJobs !== undefined && { concurrentJobs: options.concurrentJobs }),
        address: options.gatewayAddress ?? localAddress(folder, 'gateway'),
        routes,
        data,
        provenance: parts.provenance,
        log,
        serverTls: options.tls,
        signal,
      }),
    );
    return { ...gateway, stop: () => scope.close() };
  });
}

async function startInference(repository: string, sockets: string, log: Logger, scope: Scope): Promise<MeshInference> {
  const { intraOpThreads, executionProvider, maxQueueSize } = readSettings(inferenceSettings);
  await mkdir(sockets);
  const { address } = await scope.open((signal) =>
    startInferenceServer({
      intraOpThreads,
      executionProvider,
      maxQueueSize,
      optimizedFolder: optimizedFolder(),
      repository,
      address: localAddress(sockets, 'inference'),
      log,
      signal,
    }),
  );
  return { address, sockets };
}
