import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { ask } from '../database/ask.ts';
import type { Client } from '../database/open-client.ts';
import { type Database, openDatabase } from '../database/open-database.ts';
import type { GatewayData } from '../gateway-data.ts';
import { openObjectStore } from '../storage/open-object-store.ts';
import { sharedServer } from './shared-servers.ts';
import { emptyFunction, openPatientClient, startTestServer, templateName } from './test-server.ts';

export interface TestData extends Pick<GatewayData, 'database' | 'objects'> {
  /** Location of the objects, for `openObjectStore`. */
  storage: string;
  /** Names of all objects, sorted, once only those accepted by `isExpected` are left: cleaning up happens last. */
  objectKeys(isExpected?: (key: string) => boolean): Promise<string[]>;
}

/** A client of this worker's server. */
type ServerClient = Client & { url: string };

const log = createLogger('test', 'silent');
/** A data folder without the database and the objects. */
const dataFolder = { path: '/', temporary: false, close: async () => {} };
let server: Promise<ServerClient> | undefined;
/** Databases that tests have used and that are empty again: their connections are open and know the tables. */
let idle: Database[] = [];
let scope = new Scope();

/** Call after the last test of a file. */
export async function stopTestServer(): Promise<void> {
  const [ended, emptied] = [scope, idle];
  scope = new Scope();
  idle = [];
  for (const database of emptied) {
    await drop(database);
  }
  server = undefined;
  await ended.close();
}

/** Runs `use` with an empty database and object store. */
export async function withData<T>(use: (data: TestData) => Promise<T>): Promise<T> {
  const database = idle.pop() ?? (await createDatabase());
  let isEmpty = false;
  try {
    const result = await withTemporaryFolder(async (folder) => {
      const objects = await openObjectStore(folder, dataFolder);
      const objectKeys = (isExpected = (_: string) => true) => settledFiles(folder, isExpected);
      return use({ database, objects, storage: folder, objectKeys });
    });
    isEmpty = await empty(database);
    return result;
  } finally {
    await (isEmpty ? idle.push(database) : drop(database));
  }
}

async function createDatabase(): Promise<Database> {
  server ??= connectToServer();
  const { sql, url } = await server;
  const name = `test_${randomBytes(6).toString('hex')}`;
  // Copying the files takes half the time of copying through the log, which is the default.
  await sql.unsafe(`create database ${name} template ${templateName} strategy file_copy`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return openDatabase({ url: own.href, dataFolder, log });
}

/** Whether the database is as it was created: false if it cannot be reached, or if a test added something to the schema. */
async function empty({ sql }: Database): Promise<boolean> {
  try {
    const [state] = await ask(
      sql,
      () => sql<[{ pristine: boolean }]>`select ${sql.unsafe(emptyFunction)}() as pristine`,
    );
    return state.pristine;
  } catch {
    return false;
  }
}

async function drop({ url, close }: Database): Promise<void> {
  await close();
  const { sql } = await server!;
  await sql.unsafe(`drop database ${new URL(url).pathname.slice(1)} with (force)`);
}

async function connectToServer(): Promise<ServerClient> {
  const url = (await sharedServer()) ?? (await scope.open(startTestServer)).url;
  return { ...scope.add(openPatientClient(url)), url };
}

async function settledFiles(folder: string, isExpected: (key: string) => boolean): Promise<string[]> {
  for (;;) {
    // A folder may disappear while it is being read.
    const keys = await listFiles(folder).catch(() => undefined);
    if (keys?.every(isExpected)) {
      return keys;
    }
    await pause(20);
  }
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.partial'))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
