import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { invalidField } from '../kit/errors.ts';
import { FileHashes } from '../kit/file-hashes.ts';
import type { Logger } from '../kit/log.ts';
import { packageVersion } from '../kit/package-root.ts';
import { openScope } from '../kit/scope.ts';
import type { RunningServer } from '../kit/serve.ts';
import type { ServerTls } from '../kit/tls.ts';
import { hashesName } from '../pipeline/model-manifest.ts';
import { internal } from './errors.ts';
import { chooseProvider } from './execution/execution-provider.ts';
import type { ModelControl } from './model-control.ts';
import { LogSettings, type LogValues } from './protocol/log-settings.ts';
import type { InferenceServerState } from './protocol/state.ts';
import type { ProviderChoice } from './provider-choice.ts';
import { Repository } from './repository/repository.ts';
import { SharedMemory } from './shared-memory.ts';

/** Names in brackets are the equivalent flags of Triton. */
export interface InferenceServerOptions {
  /** `host:port` (port 0: any free one) or `unix:///absolute/path`. */
  address: string;
  /** Folder with a subfolder for each model [--model-repository]. */
  repository: string;
  log: Logger;
  /**
   * `none`: all models are loaded at the start; `poll`: changes in the folder are also picked up; `explicit`: clients load and
   * unload them [--model-control-mode]. Default `none`.
   */
  modelControl?: ModelControl;
  /** With `poll`: time between checks of the folder, seconds [--repository-poll-secs]. Default 15. */
  pollSeconds?: number;
  /** The server's name for clients [--id]. Default `triton`, which clients expect. */
  id?: string;
  /** Initial log settings, which clients may change [--log-info, --log-verbose and so on]. */
  logging?: LogValues;
  /** With `explicit`: models to load at the start, `*` for all [--load-model]. */
  loadModels?: readonly string[];
  /** Whether a model that cannot be loaded at the start ends the server [--exit-on-error]. Default true. */
  exitOnError?: boolean;
  /** Whether a model that cannot be loaded makes the server unready [--strict-readiness]. Default true. */
  strictReadiness?: boolean;
  /** Whether missing configuration is derived from the model's file [--disable-auto-complete-config]. Default true. */
  autoComplete?: boolean;
  /** Whether clients may register system shared memory [--allow-client-shm]. Default false. */
  allowSharedMemory?: boolean;
  /** Threads that one operator of a model may use; 0: one per physical core. Default 0. */
  intraOpThreads?: number;
  /** What models run on; `auto`: WebGPU where it works. Default `cpu`. */
  executionProvider?: ProviderChoice;
  /** Folder for the graphs of models with a manifest as ONNX Runtime optimizes them, which load faster. Default: none are kept. */
  optimizedFolder?: string;
  /** Maximum instances of one model, whatever its instance groups say. Default: half the processors, at least 1. */
  maxInstancesPerModel?: number;
  /** Maximum queued requests of a model whose queue policy sets none. Default 1024. */
  maxQueueSize?: number;
  /** Largest request message, bytes. Default 256 MiB. */
  maxRequestBytes?: number;
  /** Aborts the start, including warm-ups. */
  signal?: AbortSignal;
  /** Default: no TLS [--grpc-use-ssl; with `clientCa` --grpc-use-ssl-mutual]. */
  tls?: ServerTls;
}

/**
 * Starts a server of Triton's gRPC protocol that runs the ONNX models of a repository in worker threads. Rejects with
 * INVALID_ARGUMENT if the folder does not exist, with INTERNAL if a model cannot be loaded (see `exitOnError`), with
 * UNAVAILABLE if the address cannot be bound and with the reason of `signal`.
 */
export async function startInferenceServer(options: InferenceServerOptions): Promise<RunningServer> {
  // A separate logger, because clients may change its level.
  const log = options.log.child({});
  const folder = resolve(options.repository);
  requireRepository('repository', folder);
  options.signal?.throwIfAborted();
  return openScope(undefined, async (scope) => {
    const provider = await chooseProvider(options.executionProvider ?? 'cpu', log);
    const repository = new Repository({
      folder,
      autoComplete: options.autoComplete ?? true,
      intraOpThreads: options.intraOpThreads ?? 0,
      provider,
      maxInstancesPerModel: options.maxInstancesPerModel ?? Math.max(1, Math.floor(availableParallelism() / 2)),
      maxQueueSize: options.maxQueueSize ?? 1024,
      optimizedFolder: options.optimizedFolder,
      hashes: new FileHashes(join(folder, hashesName)),
      log,
      signal: scope.signal,
    });
    const strictReadiness = options.strictReadiness ?? true;
    const state: InferenceServerState = {
      id: options.id ?? 'triton',
      // Clients compare versions to know whether results would be the same.
      version: provider === 'cpu' ? packageVersion() : `${packageVersion()}-${provider}`,
      repository,
      sharedMemory: new SharedMemory(),
      logSettings: new LogSettings(log, options.logging),
      isExplicit: options.modelControl === 'explicit',
      allowsSharedMemory: options.allowSharedMemory ?? false,
      isReady: () => !strictReadiness || repository.table.areAllReady(),
    };
    scope.add(repository);
    const polls = options.modelControl === 'poll';
    // Later, running requests may still need instances that have to be warmed up.
    const abort = () => void scope.close().catch(() => {});
    options.signal?.addEventListener('abort', abort, { once: true });
    const loading = repository
      .loadAll(modelsAtStart(options, repository), !polls)
      .finally(() => options.signal?.removeEventListener('abort', abort));
    // Imported here, while the models load in threads of their own.
    const [faults, { serveProtocol }] = await Promise.all([loading, import('./protocol/serve-protocol.ts')]);
    options.signal?.throwIfAborted();
    if (faults.length > 0 && (options.exitOnError ?? true)) {
      throw internal(`failed to load all models: ${faults.map((fault) => fault.message.trim()).join('; ')}`);
    }
    const server = await scope.open(() =>
      serveProtocol(state, {
        address: options.address,
        log,
        maxRequestBytes: options.maxRequestBytes ?? 256 << 20,
        ...(options.tls && { tls: options.tls }),
      }),
    );
    if (polls) {
      scope.add(followFolder(repository, (options.pollSeconds ?? 15) * 1000, log));
    }
    return { ...server, stop: () => scope.close() };
  });
}

/** Polls repeatedly until it is stopped. */
function followFolder(repository: Repository, milliseconds: number, log: Logger): { stop(): void } {
  let timer: NodeJS.Timeout;
  let isStopped = false;
  const later = () => {
    timer = setTimeout(async () => {
      await repository.poll().catch((err: unknown) => log.error({ err }, 'the model repository cannot be polled'));
      if (!isStopped) {
        later();
      }
    }, milliseconds);
  };
  later();
  return {
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/**
 * Throws INVALID_ARGUMENT unless there is such a folder.
 *
 * @param field where it was given
 */
export function requireRepository(field: string, folder: string): void {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw invalidField(field, folder, 'an existing folder with a subfolder for each model');
  }
}

function modelsAtStart(options: InferenceServerOptions, repository: Repository): readonly string[] {
  if (options.modelControl !== 'explicit' || options.loadModels?.includes('*')) {
    return repository.names();
  }
  return options.loadModels ?? [];
}
