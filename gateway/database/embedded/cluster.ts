import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { diskFull } from '../../../services/kit/disk-full.ts';
import { FusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { makeFolder } from '../../../services/kit/make-folder.ts';
import { type Installation, majorVersion } from './installation.ts';
import { startProcess } from './server-process.ts';
import { canReach, giveTo, type ServerUser } from './server-user.ts';

/** The only role of an embedded server. Anyone who can open its socket (its own user and root) is trusted. */
export const superuser = 'fusionframes';

const creation = [
  `--username=${superuser}`,
  '--encoding=UTF8',
  '--locale=C',
  '--auth-local=trust',
  '--auth-host=reject',
  '--no-instructions',
];

/** After this many milliseconds an unfinished cluster counts as abandoned by a killed process. */
const abandonedAfter = 10 * 60_000;

export interface ClusterOptions {
  /** Parent of embedded PostgreSQL's own folders, writable by the server's user. */
  folder: string;
  installation: Installation;
  user: ServerUser | undefined;
  /** The data is discarded with the process, so nothing is flushed to disk (flushing takes most of the time). */
  temporary: boolean;
  log: Logger;
  signal?: AbortSignal | undefined;
}

/**
 * Opens the cluster (PostgreSQL's data) in a folder, creating it atomically if absent: several processes may try at
 * once, and any of them may be killed. Throws FAILED_PRECONDITION for a cluster of another version and
 * RESOURCE_EXHAUSTED when the disk is full.
 */
export async function ensureCluster(options: ClusterOptions): Promise<string> {
  const cluster = join(options.folder, 'cluster');
  const version = await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) {
    await makeCluster(cluster, options);
  } else if (version.trim() !== majorVersion) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `data folder: its database belongs to PostgreSQL ${version.trim()}, but this program includes ${majorVersion}: migrate it with pg_dump and DATABASE_URL, or choose another folder`,
      { reason: 'DATABASE_VERSION', field: 'data folder' },
    );
  }
  return cluster;
}

/**
 * The empty cluster in `parent` that temporary ones are copied from: that takes a fifth of the time of creating one.
 * `undefined` while there is none that the server's user can read; it is created meanwhile, for the next time.
 */
export async function findEmptyCluster(
  parent: string,
  options: Omit<ClusterOptions, 'folder'>,
): Promise<string | undefined> {
  // Its name has all that decides whether the copy is what `initdb` would make.
  const settings = createHash('sha256').update(creation.join(' ')).digest('hex').slice(0, 8);
  const folder = join(parent, `${majorVersion}-${process.platform}-${process.arch}-${settings}`);
  const cluster = join(folder, 'cluster');
  const { user, log } = options;
  const owner = await stat(join(cluster, 'PG_VERSION')).then(
    ({ uid }) => uid,
    () => undefined,
  );
  if (owner === (user?.uid ?? process.getuid?.()) && (!user || (await canReach(folder, user)))) {
    return cluster;
  }
  void createEmptyCluster(folder, options).catch((err: unknown) => log.debug({ err }, 'no empty database is kept'));
  return undefined;
}

async function createEmptyCluster(folder: string, options: Omit<ClusterOptions, 'folder'>): Promise<void> {
  await makeFolder(folder);
  await giveTo(folder, options.user);
  await ensureCluster({ ...options, folder, temporary: false });
}

async function makeCluster(cluster: string, options: ClusterOptions) {
  const { folder, installation, user, temporary, log, signal } = options;
  await removeAbandoned(folder);
  const partial = await mkdtemp(join(folder, 'new-'));
  try {
    await giveTo(partial, user);
    const sync = temporary ? ['--no-sync'] : [];
    const initdb = startProcess(
      [installation.initdb, `--pgdata=${partial}`, ...creation, ...sync],
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
      throw startFailure('its database could not be created', initdb.lastOutput());
    }
    await rename(partial, cluster);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another process was faster; its cluster is just as good.
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

/** PostgreSQL's own explanation of why it did not start. */
export function startFailure(what: string, words: string): FusionError {
  if (/no space left on device/i.test(words)) {
    return diskFull('data folder', { detail: what, field: 'data folder' });
  }
  const errorLines = words.split('\n').filter((line) => /error|fatal|panic|could not|cannot/i.test(line));
  const reason = (errorLines.length > 0 ? errorLines : words.split('\n').slice(-1)).slice(-3).join('; ');
  return new FusionError(
    Status.UNAVAILABLE,
    `Embedded PostgreSQL: ${what}: ${reason || 'no output'}; set DATABASE_URL to use another server`,
    {
      reason: 'EMBEDDED_POSTGRES_FAILED',
    },
  );
}
