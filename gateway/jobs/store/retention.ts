import type { Sql } from 'postgres';
import type { Caller } from '../../keys/caller.ts';
import { visible } from './read-jobs.ts';

/** Jobs that are tidied up at once. */
const batch = 50;

/** Which finished jobs are kept. */
export interface Retention {
  /** How long after their end. */
  keepSeconds: number;
  /** How many; beyond that the ones that ended first go. */
  keepCount: number;
}

/** Hides a finished job from everybody; false when there is none for this caller. */
export async function markDeleted(sql: Sql, id: string, caller: Caller): Promise<boolean> {
  const rows = await sql`
    update jobs set deleted_at = now() where id = ${id} and finished_at is not null and ${visible(sql, caller)}
    returning id`;
  return rows.length === 1;
}

/** Hides finished jobs that are too old or too many. */
export async function markExpired(sql: Sql, { keepSeconds, keepCount }: Retention): Promise<void> {
  // Skips what another replica is hiding right now: two that wait for each other's rows would never end.
  await sql`
    update jobs set deleted_at = now() where id in (
      select id from jobs
      where deleted_at is null and finished_at < now() - ${keepSeconds}::float8 * interval '1 second'
      limit ${batch} for update skip locked)`;
  await sql`
    update jobs set deleted_at = now() where id in (
      select id from jobs where finished_at is not null and deleted_at is null
      order by finished_at desc, sequence desc offset ${keepCount} limit ${batch} for update skip locked)`;
}

/** Jobs that are hidden and not yet removed. */
export async function hiddenJobs(sql: Sql): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from jobs where deleted_at is not null order by deleted_at limit ${batch}`;
  return rows.map(({ id }) => id);
}

/** Removes the row of a hidden job and all that hangs on it. */
export async function removeRow(sql: Sql, id: string): Promise<void> {
  await sql`delete from jobs where id = ${id} and deleted_at is not null`;
}
