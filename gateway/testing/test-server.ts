import { createLogger } from '../../services/kit/log.ts';
import { openScope } from '../../services/kit/scope.ts';
import { openDataFolder } from '../data-folder.ts';
import { openDatabase } from '../database/open-database.ts';

/** A PostgreSQL server for tests. */
export interface TestServer {
  url: string;
  close(): Promise<void>;
}

/** The database on a {@link TestServer} that has the present schema and no rows: tests work on copies of it. */
export const templateName = 'fusionframes_template';

/** Starts a server on a temporary folder; it ends with this process, however that ends. */
export function startTestServer(signal?: AbortSignal): Promise<TestServer> {
  return openScope(signal, async (scope) => {
    const log = createLogger('test', 'silent');
    const dataFolder = await scope.open(() => openDataFolder(''));
    const { sql, url } = await scope.open((aborted) =>
      openDatabase({ url: '', dataFolder, log, signal: aborted, connections: 1 }),
    );
    await sql.unsafe(`create database ${templateName}`);
    const template = new URL(url);
    template.pathname = `/${templateName}`;
    await (await openDatabase({ url: template.href, dataFolder, log, connections: 1 })).close();
    return { url, close: () => scope.close() };
  });
}
