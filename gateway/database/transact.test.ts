import { afterAll, expect, test } from '@jest/globals';
import type { TransactionSql } from 'postgres';
import { deferred } from '../../services/kit/deferred.ts';
import { createLogger } from '../../services/kit/log.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { isConnectionLoss } from './database-error.ts';
import { openDatabase } from './open-database.ts';
import { retryOnLoss } from './retry-on-loss.ts';
import { transact } from './transact.ts';

afterAll(stopTestServer);

const dataFolder = { path: '/', temporary: false, close: async () => {} };
const log = createLogger('test', 'silent');

const statements: [string, (transaction: TransactionSql) => Promise<unknown>][] = [
  ['with values', async (transaction) => transaction`select pg_sleep(${600}::int)`],
  ['without values', async (transaction) => transaction`select pg_sleep(600)`],
  ['that have just been sent', async () => {}],
];

test.each(statements)(
  'a transaction whose connection ends in statements %s fails; the connection comes back',
  (_, sleep) =>
    withData(async ({ database: { sql: other, url } }) => {
      const { sql, close } = await openDatabase({ url, dataFolder, log, connections: 1 });
      await sql`create table kept (value int)`;
      for (let round = 0; round < 3; round++) {
        const begun = deferred<number>();
        const broken = transact(sql, async (transaction) => {
          const [{ pid }] = await transaction<[{ pid: number }]>`
          insert into kept values (${round}) returning pg_backend_pid() as pid`;
          begun.resolve(pid);
          await sleep(transaction);
          for (;;) {
            await transaction`select ${round}::int`;
          }
        });
        // Looked at below, when it may have failed already.
        broken.catch(() => {});
        await other`select pg_terminate_backend(${await begun.promise})`;
        expect(isConnectionLoss(await broken.catch((error: unknown) => error))).toBe(true);
        const count = () => transact(sql, (transaction) => transaction<[{ count: number }]>`select count(*) from kept`);
        expect(await retryOnLoss(count, { seconds: 60 })).toEqual([{ count: 0 }]);
      }
      await close();
    }),
);

test('a transaction rejected by a read-only server is rolled back, and its connection is reused', () =>
  withData(async ({ database: { url } }) => {
    const { sql, close } = await openDatabase({ url, dataFolder, log, connections: 1 });
    await sql`create table kept (value int)`;
    const refused = transact(sql, async (transaction) => {
      await transaction`set transaction read only`;
      await transaction`insert into kept values (1)`;
    });
    await expect(refused).rejects.toMatchObject({ code: '25006' });
    expect(await sql`insert into kept values (2) returning value`).toEqual([{ value: 2 }]);
    await close();
  }));
