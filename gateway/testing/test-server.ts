import { statfs } from 'node:fs/promises';
import { createLogger } from '../../services/kit/log.ts';
import { openScope } from '../../services/kit/scope.ts';
import { type DataFolder, temporaryDataFolder } from '../data-folder.ts';
import { type Client, openClient } from '../database/open-client.ts';
import { openDatabase } from '../database/open-database.ts';

/** A PostgreSQL server for tests. */
export interface TestServer {
  url: string;
  close(): Promise<void>;
}

/** Template database on a {@link TestServer} with the current schema and no rows; tests work on copies. */
export const templateName = 'fusionframes_template';

/** A client whose timeout allows for creating a database on a busy machine. */
export function openPatientClient(url: string): Client {
  return openClient(new URL(url), { connections: 2, log: createLogger('test', 'silent'), seconds: 600 });
}

/** Starts a server on a temporary folder; it ends with this process, even if that is killed. */
export function startTestServer(signal?: AbortSignal): Promise<TestServer> {
  return openScope(signal, async (scope) => {
    const log = createLogger('test', 'silent');
    const dataFolder = await scope.open(openFastFolder);
    const { url } = await scope.open((aborted) =>
      openDatabase({ url: '', dataFolder, log, signal: aborted, connections: 1 }),
    );
    const { sql, close } = openPatientClient(url);
    await sql.unsafe(`create database ${templateName}`);
    await close();
    const template = new URL(url);
    template.pathname = `/${templateName}`;
    await (await openDatabase({ url: template.href, dataFolder, log, connections: 1 })).close();
    return { url, close: () => scope.close() };
  });
}

/** Bytes of memory that must be free for a server's files. */
const roomyBytes = 4e9;

/** A temporary folder, in memory if there is room: every database that comes and goes is three hundred files. */
async function openFastFolder(): Promise<DataFolder> {
  const memory = await statfs('/dev/shm').catch(() => undefined);
  const isRoomy = memory !== undefined && memory.bavail * memory.bsize > roomyBytes;
  return temporaryDataFolder(isRoomy ? '/dev/shm' : undefined);
}
