import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';
import { createLogger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { eventually } from '../../test/support/cli.ts';
import { openDataFolder } from '../data-folder.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { readPostmasterFile } from './embedded/postmaster-file.ts';
import { openClient } from './open-client.ts';
import { type Database, openDatabase } from './open-database.ts';
import { retryOnLoss } from './retry-on-loss.ts';

const log = createLogger('test', 'silent');

afterAll(stopTestServer);

async function open(folder: string): Promise<Database> {
  return openDatabase({ url: '', dataFolder: await openDataFolder(folder), log });
}

/** The server's user must be able to enter the folder when the tests run as root. */
async function withDataFolder(use: (folder: string, cluster: string) => Promise<void>): Promise<void> {
  const dataFolder = await openDataFolder('');
  try {
    await use(join(dataFolder.path, 'data'), join(dataFolder.path, 'data', 'postgres', 'cluster'));
  } finally {
    await dataFolder.close();
  }
}

async function isRunning(database: Database): Promise<boolean> {
  return database.sql`select 1`.then(
    () => true,
    () => false,
  );
}

/** Opens the database in a process of its own, which then waits to be killed. */
async function openElsewhere(folder: string): Promise<{ kill(): Promise<void>; dataFolder: string }> {
  const module = (path: string) => JSON.stringify(pathToFileURL(join(packageRoot, 'dist', path)).href);
  const script = `
    const { openDataFolder } = await import(${module('gateway/data-folder.js')});
    const { openDatabase } = await import(${module('gateway/database/open-database.js')});
    const { createLogger } = await import(${module('services/kit/log.js')});
    const dataFolder = await openDataFolder(${JSON.stringify(folder)});
    await openDatabase({ url: '', dataFolder, log: createLogger('child', 'silent') });
    console.log(dataFolder.path);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    dataFolder: line as string,
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

test('a server without free connections is waited for', () =>
  withData(async ({ database: { sql, url } }) => {
    const role = `crowded_${randomBytes(4).toString('hex')}`;
    await sql.unsafe(`create role ${role} login connection limit 0; grant select on schema_migrations to ${role}`);
    const own = new URL(url);
    own.searchParams.set('user', role);
    const { sql: refused, close } = openClient(own, { connections: 1, log });
    await expect(refused`select 1`).rejects.toMatchObject({ code: '53300' });
    await close();
    const opening = openDatabase({
      url: own.href,
      dataFolder: { path: '/', temporary: false, close: async () => {} },
      log,
    });
    await sql.unsafe(`alter role ${role} connection limit 9`);
    await (await opening).close();
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`);
  }));

test('committed data survives a stop, a crash of the server and a crash while it was closed', async () => {
  await withDataFolder(async (folder, cluster) => {
    const first = await open(folder);
    await first.sql`create table kept (value int8)`;
    await first.sql`insert into kept values (${2 ** 40})`;
    await first.close();

    const second = await open(folder);
    expect(await second.sql`select value from kept`).toMatchObject([{ value: 2 ** 40 }]);
    const { pid } = (await readPostmasterFile(cluster))!;
    process.kill(pid, 'SIGKILL');
    await eventually(async () => ![undefined, pid].includes((await readPostmasterFile(cluster))?.pid));
    expect(await retryOnLoss(() => second.sql`select value from kept`, { seconds: 60 })).toHaveLength(1);
    await second.close();
    await expect(access(join(cluster, 'postmaster.pid'))).rejects.toThrow('ENOENT');

    // The pid of another program, which PostgreSQL would wait for.
    await writeFile(join(cluster, 'postmaster.pid'), `${process.pid}\n${cluster}\n0\n5432\n\n\n\nready\n`);
    const third = await open(folder);
    expect(await third.sql`select value from kept`).toHaveLength(1);
    await third.close();
  });
});

test('processes that share a data folder share the server, and the last one keeps it alive', async () => {
  await withDataFolder(async (folder) => {
    const [first, second] = await Promise.all([open(folder), open(folder)]);
    await first.sql`create table shared (value int)`;
    expect(await second.sql`select * from shared`).toEqual([]);
    await first.close();
    await eventually(() => isRunning(second));
    expect(await second.sql`select * from shared`).toEqual([]);
    await second.close();
    expect(await readdir(join(folder, 'postgres'))).toEqual(['cluster', 'lib', 'socket']);
  });
});

test('a killed process leaves no server behind', async () => {
  await withDataFolder(async (folder, cluster) => {
    const lasting = await openElsewhere(folder);
    const { pid } = (await readPostmasterFile(cluster))!;
    await lasting.kill();
    await eventually(() => !alive(pid));
    await (await open(folder)).close();
  });

  const temporary = await openElsewhere('');
  const { pid } = (await readPostmasterFile(join(temporary.dataFolder, 'postgres', 'cluster')))!;
  await temporary.kill();
  await eventually(() => !alive(pid));
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('temporary databases are copies of an empty one that is kept', () =>
  withDataFolder(async (kept) => {
    await mkdir(kept, { mode: 0o755 });
    // Closing a database also ends what creates the kept one.
    const created = await identifierOfTemporary(kept, () =>
      eventually(async () =>
        (await readdir(kept)).some((name) => existsSync(join(kept, name, 'cluster', 'PG_VERSION'))),
      ),
    );
    const copy = await identifierOfTemporary(kept);
    expect(copy).not.toBe(created);
    expect(await identifierOfTemporary(kept)).toBe(copy);
  }));

/** What PostgreSQL calls the cluster of a temporary database, which is written to and closed. */
async function identifierOfTemporary(emptyDatabase: string, whileOpen = async () => {}): Promise<string> {
  const dataFolder = await openDataFolder('', emptyDatabase);
  try {
    const { sql, close } = await openDatabase({ url: '', dataFolder, log });
    const [row] = await sql`select system_identifier::text as identifier from pg_control_system()`;
    await whileOpen();
    await close();
    return row!.identifier;
  } finally {
    await dataFolder.close();
  }
}

test('a path too long for a socket puts the socket elsewhere', async () => {
  await withDataFolder(async (folder) => {
    const database = await open(join(folder, 'a-long-name-that-goes-on-and-on'.repeat(4), 'é'));
    expect(await isRunning(database)).toBe(true);
    await database.close();
    const sockets = new URL(database.url).searchParams.get('host') as string;
    expect(sockets.startsWith(folder)).toBe(false);
    await rmdir(sockets);
  });
});

test('a second process can be pointed to the database by its URL', async () => {
  await withData(async ({ database: { url, sql } }) => {
    expect(await sql`show jit`).toMatchObject([{ jit: 'off' }]);
    await sql`create table seen (value int)`;
    const other = await openDatabase({ url, dataFolder: await openDataFolder('/tmp'), log });
    expect(await other.sql`select * from seen`).toEqual([]);
    await other.close();
  });
});

test('a cluster of another version, a broken cluster and a non-empty folder are clear errors', async () => {
  await withDataFolder(async (folder, cluster) => {
    await (await open(folder)).close();
    const control = await readFile(join(cluster, 'global', 'pg_control'));
    await writeFile(join(cluster, 'global', 'pg_control'), 'junk');
    await expect(open(folder)).rejects.toThrow(/Embedded PostgreSQL: it exited during startup: .*pg_control/);
    await writeFile(join(cluster, 'global', 'pg_control'), control);
    await writeFile(join(cluster, 'PG_VERSION'), '12\n');
    await expect(open(folder)).rejects.toThrow(
      'data folder: its database belongs to PostgreSQL 12, but this program includes 18',
    );
  });
  await withTemporaryFolder(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    await expect(openDataFolder(join(folder, 'file'))).rejects.toThrow('FUSIONFRAMES_DATA_FOLDER');
    await expect(openDataFolder(join(folder, 'file', 'below'))).rejects.toThrow('FUSIONFRAMES_DATA_FOLDER');
    await expect(openDataFolder('/proc/nowhere')).rejects.toThrow('FUSIONFRAMES_DATA_FOLDER');
  });
});

test.each([
  'nonsense',
  'mysql://user:secret@127.0.0.1/database',
  'postgres://user:se%cret@127.0.0.1/database',
  'postgres://',
  'postgres:///database',
])('the URL %s is refused without its password', async (url) => {
  const dataFolder = await openDataFolder('/tmp');
  const failure = await openDatabase({ url, dataFolder, log }).catch((error) => error);
  expect(failure).toMatchObject({ codeName: 'INVALID_ARGUMENT', field: 'DATABASE_URL' });
  expect(failure.message).toContain('`DATABASE_URL` must be of the form postgres://');
  expect(failure.message).not.toContain('secret');
});

test('a server that rejects the login is reported immediately, with its reason', async () => {
  await withData(async ({ database: { url } }) => {
    const dataFolder = await openDataFolder('/tmp');
    const missing = url.replace(/[^/]*\?/, 'missing?');
    await expect(openDatabase({ url: missing, dataFolder, log })).rejects.toMatchObject({
      codeName: 'FAILED_PRECONDITION',
      message: expect.stringContaining('database "missing" does not exist'),
    });
  });
});

test('waiting for an unreachable server ends in time, or when the start is cancelled', async () => {
  await expect(
    retryOnLoss(() => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })), { seconds: 0.2 }),
  ).rejects.toMatchObject({ codeName: 'UNAVAILABLE', message: 'The database is not available: connection refused' });

  const dataFolder = await openDataFolder('/tmp');
  const signal = timeLimit(300).signal;
  const url = 'postgres://nobody@127.0.0.1:1/nothing';
  await expect(openDatabase({ url, dataFolder, log, signal })).rejects.toMatchObject({ name: 'AbortError' });
});
