import { mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { type Installation, majorVersion } from './installation.ts';
import { startProcess } from './server-process.ts';
import { giveTo, type ServerUser } from './server-user.ts';

/** The one role of an embedded server. Anyone who can open its socket is trusted: its own user and root. */
export const superuser = 'fusionframes';

/** After this long a half-made cluster is a killed process's, milliseconds. */
const abandonedAfter = 10 * 60_000;

export interface ClusterOptions {
  /** Where embedded PostgreSQL's own folders lie; the server's user can write there. */
  folder: string;
  installation: Installation;
  user: ServerUser | undefined;
  /** The data ends with the process: nothing is written through to the disk, which takes most of the time. */
  temporary: boolean;
  log: Logger;
  signal?: AbortSignal | undefined;
}

/**
 * The cluster (PostgreSQL's data) in a folder; made when it is absent, whole or not at all: several processes may do this
 * at once, and be killed meanwhile. Throws FAILED_PRECONDITION for one of another version, RESOURCE_EXHAUSTED when the
 * disk is full.
 */
export async function ensureCluster(options: ClusterOptions): Promise<string> {
  const cluster = join(options.folder, 'cluster');
  const version = await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) {
    await makeCluster(cluster, options);
  } else if (version.trim() !== majorVersion) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `data folder: its database is PostgreSQL ${version.trim()}'s, this program brings ${majorVersion}: move it over with pg_dump and DATABASE_URL, or choose another folder`,
      { reason: 'DATABASE_VERSION', field: 'data folder' },
    );
  }
  return cluster;
}

async function makeCluster(cluster: string, options: ClusterOptions) {
  const { folder, installation, user, temporary, log, signal } = options;
  await removeAbandoned(folder);
  const partial = await mkdtemp(join(folder, 'new-'));
  try {
    await giveTo(partial, user);
    const settings = ['--encoding=UTF8', '--locale=C', '--auth-local=trust', '--auth-host=reject', '--no-instructions'];
    const initdb = startProcess(
      [
        installation.initdb,
        `--pgdata=${partial}`,
        `--username=${superuser}`,
        ...settings,
        ...(temporary ? ['--no-sync'] : []),
      ],
      installation,
      user,
      log,
    );
    const abort = () => void initdb.stop();
    signal?.addEventListener('abort', abort, { once: true });
    const code = await initdb.ended;
    signal?.removeEventListener('abort', abort);
    signal?.throwIfAborted();
    if (code !== 0) {
      throw startFailure('its database could not be made', initdb.lastWords());
    }
    await rename(partial, cluster);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Somebody else's is there by now, which serves as well.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw error;
    }
  }
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const age = Date.now() - (await stat(path).then(({ mtimeMs }) => mtimeMs, Date.now));
    if (name.startsWith('new-') && age > abandonedAfter) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Why embedded PostgreSQL did not start, in its own words. */
export function startFailure(what: string, words: string): FusionError {
  if (/no space left on device/i.test(words)) {
    return new FusionError(Status.RESOURCE_EXHAUSTED, `data folder: ${what}: no space left on its disk`, {
      reason: 'DISK_FULL',
      field: 'data folder',
    });
  }
  const telling = words.split('\n').filter((line) => /error|fatal|panic|could not|cannot/i.test(line));
  const reason = (telling.length > 0 ? telling : words.split('\n').slice(-1)).slice(-3).join('; ');
  return new FusionError(
    Status.UNAVAILABLE,
    `Embedded PostgreSQL: ${what}: ${reason || 'it said nothing'}; DATABASE_URL would name a server instead`,
    {
      reason: 'EMBEDDED_POSTGRES_FAILED',
    },
  );
}
