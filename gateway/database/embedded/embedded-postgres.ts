import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { ensureCluster, startFailure, superuser } from './cluster.ts';
import { findInstallation, type Installation } from './installation.ts';
import { readPostmasterFile, runningServer } from './postmaster-file.ts';
import { type ServerProcess, startProcess } from './server-process.ts';
import { giveTo, requireReachable, type ServerUser, serverUser } from './server-user.ts';

/** Longest that a start, with recovery after a crash, or the end of a former server may take, milliseconds. */
const startTimeout = 120_000;

const pollMilliseconds = 20;

/** How often a server of another process is looked after. */
const watchMilliseconds = 250;

/** Longest pause before another attempt to bring a server back, milliseconds. */
const maxRestartPause = 5_000;

/** Only names the socket's file: no port is opened. */
const port = 5432;

/** Length of a socket's path that every system takes (macOS: 104 bytes with the final zero). */
const maxSocketPath = 103;

export interface EmbeddedPostgresOptions {
  /** The data folder, which exists. */
  dataFolder: string;
  /** The data ends with the process: nothing is written through to the disk. */
  temporary: boolean;
  log: Logger;
  signal?: AbortSignal | undefined;
}

/**
 * A real PostgreSQL server on a data folder, reached through a socket that only its user may open. It is this process's
 * child, or another process's of this project on the same folder. Whichever way it ends (a crash, or its process does), it
 * is brought back until {@link close}; meanwhile connections are refused.
 */
export class EmbeddedPostgres {
  readonly #place: Place;
  readonly #closing = new AbortController();
  #own: ServerProcess | undefined;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(place: Place) {
    this.#place = place;
  }

  /** Starts it, or finds it running. Throws UNAVAILABLE, FAILED_PRECONDITION or RESOURCE_EXHAUSTED, telling why. */
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

  /** libpq's form of its address. */
  get url(): string {
    return `postgres:///postgres?host=${encodeURIComponent(this.#place.sockets)}&port=${port}&user=${superuser}`;
  }

  /** Stops the server if it is this process's. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#own?.stop();
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
      // Another process is starting one, or one is shutting down.
      await delay(pollMilliseconds);
    }
  }

  /** Whether a server of this process's is ready; false when another process was faster. */
  async #start(signal: AbortSignal | undefined): Promise<boolean> {
    const { cluster, sockets, installation, user, log, temporary } = this.#place;
    const settings = {
      listen_addresses: '',
      port,
      unix_socket_directories: sockets,
      unix_socket_permissions: '0700',
      max_connections: 100,
      shared_buffers: '64MB',
      ...(temporary && { fsync: 'off', full_page_writes: 'off' }),
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = startProcess([installation.postgres, '-D', cluster, ...flags], installation, user, log);
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
          throw startFailure(`it was not ready within ${startTimeout / 1000} s`, server.lastWords());
        }
        await delay(pollMilliseconds);
      }
    } catch (error) {
      await server.stop();
      throw error;
    }
    if (/lock file "postmaster.pid" already exists/.test(server.lastWords())) {
      return false;
    }
    throw startFailure('it ended while it started', server.lastWords());
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = 0; !signal.aborted; ) {
      await this.#untilGone(signal);
      if (signal.aborted) {
        return;
      }
      this.#place.log.warn('embedded PostgreSQL ended; starting it again');
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
    // The abort may have come between the start of a server and now.
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

interface Place {
  cluster: string;
  sockets: string;
  installation: Installation;
  user: ServerUser | undefined;
  temporary: boolean;
  log: Logger;
}

async function preparePlace({ dataFolder, temporary, log, signal }: EmbeddedPostgresOptions): Promise<Place> {
  const folder = join(await realpath(dataFolder), 'postgres');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const user = await serverUser(join(folder, 'cluster'));
  if (user) {
    await requireReachable(folder, user);
    await giveTo(folder, user);
  }
  const installation = await findInstallation(folder, user);
  const cluster = await ensureCluster({ folder, installation, user, temporary, log, signal });
  return { cluster, sockets: await socketFolder(folder, user), installation, user, temporary, log };
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
      `${path}, the folder for PostgreSQL's socket, is another user's`,
      {
        reason: 'SOCKET_FOLDER_TAKEN',
      },
    );
  }
  await giveTo(path, user);
  await chmod(path, 0o700);
  return path;
}
