import { afterAll, expect, test } from '@jest/globals';
import { createLogger } from '../../services/kit/log.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { type Migration, migrate } from './migrate.ts';

const log = createLogger('test', 'silent');

afterAll(stopTestServer);

/** Numbers beyond the real ones, which the database has already. */
function migration(number: number, text: string): Migration {
  return { number, name: `${number}-test.sql`, text };
}

test('each migration is applied once, however many replicas start together', async () => {
  await withData(async ({ database: { sql } }) => {
    const migrations = [
      migration(9001, 'create table counted (value int); insert into counted values (1);'),
      migration(9002, 'insert into counted values (2)'),
    ];
    await Promise.all(Array.from({ length: 5 }, () => migrate(sql, log, migrations)));
    expect(await sql`select value from counted order by value`).toMatchObject([{ value: 1 }, { value: 2 }]);
    // An older replica, which does not know the second.
    await migrate(sql, log, migrations.slice(0, 1));
  });
});

test('a migration that fails leaves nothing of itself or of those before it', async () => {
  await withData(async ({ database: { sql } }) => {
    const good = migration(9001, 'create table first (value int)');
    await expect(migrate(sql, log, [good, migration(9002, 'create table second (value nonsense)')])).rejects.toThrow(
      'type "nonsense" does not exist',
    );
    expect(await sql`select to_regclass('first') as found`).toMatchObject([{ found: null }]);
    await migrate(sql, log, [good]);
    await expect(migrate(sql, log, [migration(9001, 'create table other (value int)')])).rejects.toThrow(
      "database: the applied migration 9001-test.sql differs from this release's",
    );
  });
});
