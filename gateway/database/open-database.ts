import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { openScope } from '../../services/kit/scope.ts';
import type { DataFolder } from '../data-folder.ts';
import { ask } from './ask.ts';
import { databaseUrlFault } from './database-url.ts';
import { EmbeddedPostgres } from './embedded/embedded-postgres.ts';
import { isMigrated, migrate, migrationSeconds } from './migrate.ts';
import { listenThrough, Notifications } from './notifications.ts';
import { openClient } from './open-client.ts';
import { type RetryOnLossOptions, retryOnLoss } from './retry-on-loss.ts';

/** The gateway's database: PostgreSQL with the current schema. */
export interface Database {
  /**
   * Runs statements; `int8` arrives as a number. They fail within about one second while the server is unreachable, and
   * within ten while it is silent. `listen` resumes by itself after a lost connection.
   */
  sql: Sql;
  /** The database's URL, for another process. Includes the password, if any. */
  url: string;
  /** Closes the connections once their statements finish (2 s at most), then stops an embedded server. */
  close(): Promise<void>;
}

export interface OpenDatabaseOptions {
  /** `postgres://…`; if empty, an embedded server on the data folder. */
  url: string;
  dataFolder: DataFolder;
  log: Logger;
  signal?: AbortSignal;
  /** Maximum number of connections. Default 10. */
  connections?: number;
  /** Called before the schema is created or changed; what it throws closes the database. */
  beforeMigration?: ((sql: Sql) => Promise<void>) | undefined;
}

/** How long to wait for an unreachable server at start. */
const startSeconds = 30;

/** Lowest `server_version_num`. */
const minVersion = 140_000;

/**
 * Opens the database and brings its schema up to date. Throws INVALID_ARGUMENT for a malformed URL, UNAVAILABLE when
 * the server is not available within 30 s, FAILED_PRECONDITION when it refuses the login or is too old.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { dataFolder, log } = options;
  if (options.url !== '') {
    return connect(parseUrl(options.url), options);
  }
  return openScope(options.signal, async (scope) => {
    const embedded = await scope.open((signal) => EmbeddedPostgres.open({ dataFolder, log, signal }));
    const database = await scope.open((signal) => connect(parseUrl(embedded.url), { ...options, signal }));
    scope.defer(() => ask(database.sql, () => database.sql`select 1`, 2).catch(() => embedded.noteSilence()));
    return { ...database, close: () => scope.close() };
  });
}

async function connect(
  url: URL,
  { log, signal, connections = 10, beforeMigration }: OpenDatabaseOptions,
): Promise<Database> {
  const client = openClient(url, { connections, log });
  const notifications = new Notifications(url, log);
  const close = async (graceSeconds?: number) => {
    await notifications.close();
    await client.close(graceSeconds);
  };
  const sql = listenThrough(client.sql, notifications, startSeconds);
  // Running statements then fail.
  const interrupt = () => void close(0);
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    const patience = { seconds: startSeconds, ...(signal && { signal }) };
    // If connections are accepted and closed immediately (a proxy without a server), the driver retries forever.
    await ask(sql, () => retryOnLoss(() => requireVersion(sql), patience), startSeconds);
    if (beforeMigration) {
      await retryOnLoss(() => beforeMigration(sql), patience);
    }
    if (!(await retryOnLoss(() => isMigrated(sql), patience))) {
      await migrateWith(url, log, patience);
    }
  } catch (error) {
    await close(0);
    throw signal?.aborted
      ? new DOMException('Waiting for the database was aborted', 'AbortError')
      : explain(error, url);
  } finally {
    signal?.removeEventListener('abort', interrupt);
  }
  return { sql, url: url.href, close };
}

/** Migrations may take long, so they use a dedicated connection. */
async function migrateWith(url: URL, log: Logger, patience: RetryOnLossOptions): Promise<void> {
  const { sql, close } = openClient(url, { connections: 1, log, seconds: migrationSeconds });
  try {
    await retryOnLoss(() => migrate(sql, log), patience);
  } finally {
    await close(0);
  }
}

async function requireVersion(sql: Sql): Promise<void> {
  const [row] = await sql<{ number: number; version: string }[]>`
    select current_setting('server_version_num')::int as number, current_setting('server_version') as version`;
  if (row!.number < minVersion) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `DATABASE_URL: the server must be PostgreSQL 14 or newer (got ${row!.version})`,
      { reason: 'DATABASE_VERSION', field: 'DATABASE_URL' },
    );
  }
}

function parseUrl(text: string): URL {
  const fault = databaseUrlFault(text);
  if (fault !== undefined) {
    throw new FusionError(Status.INVALID_ARGUMENT, `\`DATABASE_URL\` ${fault}`, {
      reason: 'INVALID_SETTING',
      field: 'DATABASE_URL',
    });
  }
  return new URL(text);
}

/** Names the database that could not be opened. */
function explain(error: unknown, url: URL): unknown {
  if (!(error instanceof FusionError) || error.code === Status.FAILED_PRECONDITION) {
    return error;
  }
  const host = url.searchParams.get('host') ?? url.host;
  const state = (error.cause as { code?: string } | undefined)?.code ?? '';
  // Wrong password, role or database: the settings need fixing, so waiting does not help.
  const code = /^(28...|3D000)$/.test(state) ? Status.FAILED_PRECONDITION : error.code;
  return new FusionError(code, `DATABASE_URL: ${host}${url.pathname}: ${error.message}`, {
    reason: error.reason,
    field: 'DATABASE_URL',
    cause: error.cause,
  });
}
