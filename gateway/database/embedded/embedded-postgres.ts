import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import type { DataFolder } from '../../data-folder.ts';
import { ensureCluster, findEmptyCluster, startFailure, superuser } from './cluster.ts';
import { findInstallation, type Installation } from './installation.ts';
import { readPostmasterFile, runningServer } from './postmaster-file.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { giveTo, requireReachable, type ServerUser, serverUser } from './server-user.ts';

/** Limit for starting, including crash recovery, or for waiting for a previous server to end, in milliseconds. */
const startTimeout = 120_000;

const pollMilliseconds = 20;

/** How often a server owned by another process is checked. */
const watchMilliseconds = 250;

/** Longest pause before the next attempt to restart a server, in milliseconds. */
const maxRestartPause = 5_000;

/** How long an unresponsive server may take to shut down, in seconds. */
const silentPatienceSeconds = 1;

/** Part of the socket's file name; no port is opened. */
const port = 5432;

/** Longest socket path that every system accepts (macOS: 104 bytes including the final zero). */
const maxSocketPath = 103;

export interface EmbeddedPostgresOptions {
  /** Must exist. If it is temporary, nothing is flushed to disk. */
  dataFolder: Pick<DataFolder, 'path' | 'temporary' | 'emptyDatabase'>;
  log: Logger;
  signal?: AbortSignal | undefined;
}

/**
 * A real PostgreSQL server on a data folder, reached through a socket that only its user may open. It is a child of
 * this process or of another FusionFrames process that uses the same folder. If it ends for any reason (it crashed, or
 * its parent ended), it is restarted until {@link close}; meanwhile connections are refused.
 */
export class EmbeddedPostgres {
  readonly #place: Place;
  readonly #closing = new AbortController();
  #own: ServerProcess | undefined;
  #isSilent = false;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(place: Place) {
    this.#place = place;
  }

  /** Starts the server, or finds it running. Throws UNAVAILABLE, FAILED_PRECONDITION or RESOURCE_EXHAUSTED. */
  static async open(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const { signal } = options;
    const server = new EmbeddedPostgres(await preparePlace(options));
    try {
      await server.#ensureRunning(signal);
    } catch (error) {
      await server.close();
      throw error;
    }
    server.#supervision = server.#supervise();
    return server;
  }

  /** The server's address, as libpq writes it. */
  get url(): string {
    return `postgres:///postgres?host=${encodeURIComponent(this.#place.sockets)}&port=${port}&user=${superuser}`;
  }

  /** Makes {@link close} kill a server that does not respond. */
  noteSilence(): void {
    this.#isSilent = true;
  }

  /** Stops the server if this process started it. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#own?.stop(this.#isSilent ? silentPatienceSeconds : undefined);
    await this.#supervision;
  }

  async #ensureRunning(signal?: AbortSignal): Promise<void> {
    const { cluster } = this.#place;
    const deadline = Date.now() + startTimeout;
    for (;;) {
      signal?.throwIfAborted();
      const running = await runningServer(cluster);
      if (running?.ready) {
        return;
      }
      if (!running && (await this.#start(signal))) {
        return;
      }
      if (Date.now() > deadline) {
        throw new FusionError(
          Status.UNAVAILABLE,
          `Embedded PostgreSQL: the server (process ${running?.pid}) on ${cluster} was not ready within ${startTimeout / 1000} s`,
          { reason: 'EMBEDDED_POSTGRES_FAILED' },
        );
      }
      // Another process is starting a server, or one is shutting down.
      await delay(pollMilliseconds);
    }
  }

  /** Whether this process's server is ready; false when another process was faster. */
  async #start(signal: AbortSignal | undefined): Promise<boolean> {
    const { cluster, copiedFrom, sockets, installation, user, log, temporary } = this.#place;
    const settings = {
      listen_addresses: '',
      port,
      unix_socket_directories: sockets,
      unix_socket_permissions: '0700',
      max_connections: 100,
      shared_buffers: '64MB',
      ...(temporary && { fsync: 'off', full_page_writes: 'off', autovacuum: 'off' }),
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const copying = copiedFrom === undefined ? [] : ['/bin/sh', '-c', copyFirst, 'copy', `${copiedFrom}/.`, cluster];
    const command = [...copying, installation.postgres, '-D', cluster, ...flags];
    const server = startProcess(command, installation, user, log);
    let over = false;
    void server.ended.then(() => (over = true));
    const deadline = Date.now() + startTimeout;
    try {
      while (!over) {
        signal?.throwIfAborted();
        if ((await readPostmasterFile(cluster))?.ready && !over) {
          this.#own = server;
          return true;
        }
        if (Date.now() > deadline) {
          throw startFailure(`it was not ready within ${startTimeout / 1000} s`, server.lastOutput());
        }
        await delay(pollMilliseconds);
      }
    } catch (error) {
      await server.stop();
      throw error;
    }
    if (/lock file "postmaster.pid" already exists/.test(server.lastOutput())) {
      return false;
    }
    throw startFailure('it exited during startup', server.lastOutput());
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = 0; !signal.aborted; ) {
      await this.#untilGone(signal);
      if (signal.aborted) {
        return;
      }
      this.#place.log.warn('embedded PostgreSQL exited; restarting it');
      try {
        await delay(pause, undefined, { signal });
        await this.#ensureRunning(signal);
        pause = 0;
      } catch (error) {
        if (!signal.aborted) {
          this.#place.log.error({ error: (error as Error).message }, 'embedded PostgreSQL did not start');
        }
        pause = Math.min(maxRestartPause, 2 * pause + 100);
      }
    }
    // The abort may have come after the server started.
    await this.#own?.stop();
  }

  async #untilGone(signal: AbortSignal): Promise<void> {
    if (this.#own) {
      await this.#own.ended;
      this.#own = undefined;
      return;
    }
    try {
      while (await runningServer(this.#place.cluster)) {
        await delay(watchMilliseconds, undefined, { signal });
      }
    } catch {
      // Closing.
    }
  }
}

/**
 * Copies the cluster $1 to $2 unless it is there, and runs the rest. One command, because this process may be busy loading the
 * program when the copy is finished.
 */
const copyFirst = `
[ -e "$2/PG_VERSION" ] || cp -R "$1" "$2" || exit
shift 2
exec "$@"`;

interface Place {
  cluster: string;
  /** The cluster that it is made a copy of; absent if it exists. */
  copiedFrom: string | undefined;
  sockets: string;
  installation: Installation;
  user: ServerUser | undefined;
  temporary: boolean;
  log: Logger;
}

async function preparePlace({ dataFolder, log, signal }: EmbeddedPostgresOptions): Promise<Place> {
  const { path, temporary, emptyDatabase } = dataFolder;
  const folder = join(await realpath(path), 'postgres');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const user = await serverUser(join(folder, 'cluster'));
  if (user) {
    await requireReachable(folder, user);
    await giveTo(folder, user);
  }
  const installation = await findInstallation(folder, user);
  const options = { installation, user, temporary, log, signal };
  const copiedFrom = emptyDatabase && (await findEmptyCluster(emptyDatabase, options));
  const cluster = copiedFrom === undefined ? await ensureCluster({ ...options, folder }) : join(folder, 'cluster');
  return { cluster, copiedFrom, sockets: await socketFolder(folder, user), installation, user, temporary, log };
}

/** A folder for the socket that only the server's user can enter: below the data, or elsewhere if that path is too long. */
async function socketFolder(folder: string, user: ServerUser | undefined): Promise<string> {
  const below = join(folder, 'socket');
  const fits = Buffer.byteLength(join(below, `.s.PGSQL.${port}`)) <= maxSocketPath;
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  const path = fits ? below : join(tmpdir(), `fusionframes-socket-${name}`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  const { uid } = await lstat(path);
  const expected = user?.uid ?? process.getuid?.();
  if (uid !== expected && uid !== process.getuid?.()) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${path}, the folder for PostgreSQL's socket, belongs to another user`,
      {
        reason: 'SOCKET_FOLDER_TAKEN',
      },
    );
  }
  await giveTo(path, user);
  await chmod(path, 0o700);
  return path;
}
