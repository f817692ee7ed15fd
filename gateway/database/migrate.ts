import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import type { ISql, Sql } from 'postgres';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { lock } from './locks.ts';
import { transact } from './transact.ts';

/** A numbered schema change. Its text never changes after release. */
export interface Migration {
  number: number;
  name: string;
  text: string;
}

/** How long migrating may take, including waiting for another process that is migrating. */
export const migrationSeconds = 600;

/** Whether the database has every migration that this program knows. */
export async function isMigrated(sql: Sql): Promise<boolean> {
  const [{ exists }] = await sql<[{ exists: boolean }]>`select to_regclass('schema_migrations') is not null as exists`;
  if (!exists) {
    return false;
  }
  const known = await readMigrations();
  const sums = await readApplied(sql);
  return known.every((migration) => sums.get(migration.number) === sha256Of(migration));
}

/**
 * Applies the missing migrations, all or none, while other replicas wait. Unknown migrations belong to a newer release
 * and are left alone: each must leave a schema that the previous release can use. Throws FAILED_PRECONDITION when an
 * applied migration differs from its text here.
 */
export async function migrate(sql: Sql, log: Logger, migrations?: readonly Migration[]): Promise<void> {
  const known = migrations ?? (await readMigrations());
  await transact(sql, async (transaction) => {
    for (const timeout of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
      await transaction.unsafe(`set local ${timeout} = '${migrationSeconds}s'`);
    }
    lock(transaction, 'migrate');
    await transaction.unsafe(
      `create table if not exists schema_migrations (
        number int primary key,
        name text not null,
        sha256 text not null,
        applied_at timestamptz not null default now()
      )`,
    );
    const sums = await readApplied(transaction);
    for (const migration of known) {
      const { number, name, text } = migration;
      const sha256 = sha256Of(migration);
      const before = sums.get(number);
      if (before === undefined) {
        await transaction.unsafe(text);
        await transaction`
          insert into schema_migrations (number, name, sha256) values (${number}, ${name}, ${sha256})`;
        log.info({ migration: name }, 'migrated the database');
      } else if (before !== sha256) {
        throw new FusionError(
          Status.FAILED_PRECONDITION,
          `database: the applied migration ${name} differs from this release's`,
          { reason: 'MIGRATION_CHANGED' },
        );
      }
    }
  });
}

/** Hashes of the applied migrations, by number. */
async function readApplied(sql: ISql): Promise<Map<number, string>> {
  const applied = await sql<{ number: number; sha256: string }[]>`select number, sha256 from schema_migrations`;
  return new Map(applied.map(({ number, sha256 }) => [number, sha256]));
}

function sha256Of({ text }: Migration): string {
  return createHash('sha256').update(text).digest('hex');
}

async function readMigrations(): Promise<Migration[]> {
  const folder = join(packageRoot, 'gateway', 'database', 'migrations');
  const names = (await readdir(folder)).filter((name) => /^\d{4}-[\w-]+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => ({
      number: Number(name.slice(0, 4)),
      name,
      text: await readFile(join(folder, name), 'utf8'),
    })),
  );
}
