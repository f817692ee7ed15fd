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
      migration(9001, 'CREATE TABLE counted (value int); INSERT INTO counted VALUES (1);'),
      migration(9002, 'INSERT INTO counted VALUES (2)'),
    ];
    await Promise.all(Array.from({ length: 5 }, () => migrate(sql, log, migrations)));
    expect(await sql`SELECT value FROM counted ORDER BY value`).toMatchObject([{ value: 1 }, { value: 2 }]);
    // An older replica, which does not know the second.
    await migrate(sql, log, migrations.slice(0, 1));
  });
});

test('a migration that fails leaves nothing of itself or of those before it', async () => {
  await withData(async ({ database: { sql } }) => {
    const good = migration(9001, 'CREATE TABLE first (value int)');
    await expect(migrate(sql, log, [good, migration(9002, 'CREATE TABLE second (value nonsense)')])).rejects.toThrow(
      'type "nonsense" does not exist',
    );
    expect(await sql`SELECT to_regclass('first') AS found`).toMatchObject([{ found: null }]);
    await migrate(sql, log, [good]);
    await expect(migrate(sql, log, [migration(9001, 'CREATE TABLE other (value int)')])).rejects.toThrow(
      'database: migration 9001-test.sql was applied with another text',
    );
  });
});
