import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { createLogger } from '../../services/kit/log.ts';
import { eventually } from '../../test/support/cli.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { openProxy } from '../testing/proxied-database.ts';
import { openDatabase } from './open-database.ts';

afterAll(stopTestServer);

/** Runs `use` with one connection to an empty database, and a way to have it reset while its statement sleeps. */
async function withReset(use: (sql: Sql, reset: () => Promise<void>) => Promise<void>): Promise<void> {
  await withData(async ({ database }) => {
    const { url, proxy } = await openProxy(database.url);
    const dataFolder = { path: '/', temporary: false, close: async () => {} };
    const log = createLogger('test', 'silent');
    const { sql, close } = await openDatabase({ url, dataFolder, log, connections: 1 });
    await use(sql, async () => {
      await eventually(async () => {
        const asleep = await database.sql`
          select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
        return asleep.length > 0;
      });
      proxy.reset();
    });
    await close();
    await proxy.close();
  });
}

test('statements right after a reset each get their own answer', () =>
  withReset(async (sql, reset) => {
    for (let round = 0; round < 3; round++) {
      const asked = (name: string) => sql<[{ name: string }]>`select ${`${name} ${round}`}::text as name`;
      const broken = sql`select pg_sleep(600)`.catch(async () => {
        // Within the moment between the socket's error and its close.
        const [answer] = await asked('first');
        return answer.name;
      });
      await reset();
      expect(await broken).toBe(`first ${round}`);
      for (const name of ['second', 'third']) {
        expect(await asked(name)).toEqual([{ name: `${name} ${round}` }]);
      }
    }
  }));

test('waiting for a server that accepts and closes connections ends in time', async () => {
  const server = createServer((socket) => socket.end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const interrupted = new AbortController();
  const opening = openDatabase({
    url: `postgres://somebody@127.0.0.1:${port}/none`,
    dataFolder: { path: '/', temporary: false, close: async () => {} },
    log: createLogger('test', 'silent'),
    signal: interrupted.signal,
  });
  await once(server, 'connection');
  interrupted.abort();
  await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
  server.close();
});
