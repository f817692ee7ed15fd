import { Status } from 'nice-grpc-common';
import postgres, { type Sql } from 'postgres';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { openScope } from '../../services/kit/scope.ts';
import type { DataFolder } from '../data-folder.ts';
import { ask } from './ask.ts';
import { databaseUrlFault } from './database-url.ts';
import { EmbeddedPostgres } from './embedded/embedded-postgres.ts';
import { migrate } from './migrate.ts';
import { openSocket } from './open-socket.ts';
import { retryOnLoss } from './retry-on-loss.ts';

/** The gateway's database: PostgreSQL, with the present schema. */
export interface Database {
  /** Statements; `int8` comes as a number. While the server is away they fail within about a second. */
  sql: Sql;
  /** Where it is, for another process. With a password, if there is one. */
  url: string;
  /** Ends the connections after their statements (5 s at most), then an embedded server. */
  close(): Promise<void>;
}

export interface OpenDatabaseOptions {
  /** `postgres://…`; empty: an embedded server on the data folder. */
  url: string;
  dataFolder: DataFolder;
  log: Logger;
  signal?: AbortSignal;
  /** Connections at once. Default 10. */
  connections?: number;
}

/** How long a server that cannot be reached is waited for at the start. */
const startSeconds = 30;

/** Least server version: `server_version_num`. */
const minVersion = 140_000;

/** What no statement of this project comes near; a hanging one must not hold its connection for ever. */
const statementTimeout = 30_000;

/**
 * Opens the database and brings its schema up to date. Throws INVALID_ARGUMENT for a URL that is none, UNAVAILABLE when
 * the server cannot be reached within 30 s (or at once when it turns us away), FAILED_PRECONDITION for an old one.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { dataFolder, log } = options;
  if (options.url !== '') {
    return connect(parseUrl(options.url), options);
  }
  const { path, temporary } = dataFolder;
  return openScope(options.signal, async (scope) => {
    const embedded = await scope.open((signal) => EmbeddedPostgres.open({ dataFolder: path, temporary, log, signal }));
    const database = await scope.open((signal) => connect(parseUrl(embedded.url), { ...options, signal }));
    return { ...database, close: () => scope.close() };
  });
}

async function connect(url: URL, { log, signal, connections = 10 }: OpenDatabaseOptions): Promise<Database> {
  const sql = client(url, connections, log);
  // What is under way then fails.
  const end = () => void sql.end({ timeout: 0 });
  signal?.addEventListener('abort', end, { once: true });
  try {
    const patience = { seconds: startSeconds, ...(signal && { signal }) };
    // Where connections are taken and ended at once, as by a proxy without a server, the driver tries for ever.
    await ask(() => retryOnLoss(() => requireVersion(sql), patience), startSeconds);
    await retryOnLoss(() => migrate(sql, log), patience);
  } catch (error) {
    await sql.end({ timeout: 0 });
    throw signal?.aborted
      ? new DOMException('The database was waited for no longer', 'AbortError')
      : explain(error, url);
  } finally {
    signal?.removeEventListener('abort', end);
  }
  return { sql, url: url.href, close: () => sql.end({ timeout: 5 }) };
}

function client(url: URL, connections: number, log: Logger): Sql {
  // libpq's form for a socket's folder, which the driver takes as an option only.
  const host = url.searchParams.get('host') ?? undefined;
  const user = url.searchParams.get('user') ?? undefined;
  const port = url.searchParams.get('port') ?? undefined;
  const rest = new URL(url);
  for (const name of ['host', 'user', 'port']) {
    rest.searchParams.delete(name);
  }
  const options = {
    ...(host && { host }),
    ...(user && { user }),
    ...(port && { port: Number(port) }),
    max: connections,
    connect_timeout: 5,
    // The driver's own grows to 20 s, during which every statement waits.
    backoff: (retries: number) => Math.min(1, 0.05 * 2 ** retries),
    connection: { application_name: 'fusionframes', statement_timeout: statementTimeout, TimeZone: 'UTC' },
    // Counts and identities stay far below 2⁵³.
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String } },
    onnotice: ({ message }: postgres.Notice) => log.debug({ notice: message }, 'PostgreSQL says'),
    // The driver's types leave it out.
    socket: openSocket,
  };
  return postgres(rest.href, options) as unknown as Sql;
}

async function requireVersion(sql: Sql): Promise<void> {
  const [row] = await sql<{ number: number; version: string }[]>`
    SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version`;
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

/** Says which database could not be opened. */
function explain(error: unknown, url: URL): unknown {
  if (!(error instanceof FusionError) || error.code === Status.FAILED_PRECONDITION) {
    return error;
  }
  const host = url.searchParams.get('host') ?? url.host;
  const state = (error.cause as { code?: string } | undefined)?.code ?? '';
  // Wrong password, no such role or database: a setting to mend, not a server to wait for.
  const code = /^(28...|3D000)$/.test(state) ? Status.FAILED_PRECONDITION : error.code;
  return new FusionError(code, `DATABASE_URL: ${host}${url.pathname}: ${error.message}`, {
    reason: error.reason,
    field: 'DATABASE_URL',
    cause: error.cause,
  });
}
