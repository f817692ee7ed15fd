import type { Sql } from 'postgres';
import type { Caller } from '../../keys/caller.ts';
import { visible } from './read-jobs.ts';

/** Jobs that are tidied up at once. */
const batch = 50;

/** Jobs of one key that are told at once that they are too many: far more than a key makes meanwhile. */
const noticesAtOnce = 1000;

/** Between the word that a job is one too many and its removal, seconds. */
const noticeSeconds = 60;

/** Which finished jobs are kept. */
export interface Retention {
  /** How long after their end. */
  keepSeconds: number;
  /** How many videos of each key, and how many of its jobs that ended without one; beyond that the oldest go. */
  keepCount: number;
}

/** Hides a finished job from all callers; false when there is none for this caller. */
export async function markDeleted(sql: Sql, id: string, caller: Caller): Promise<boolean> {
  const rows = await sql`
    update jobs set deleted_at = now() where id = ${id} and finished_at is not null and ${visible(sql, caller)}
    returning id`;
  return rows.length === 1;
}

/**
 * Hides finished jobs whose time has come, and says of those that are too many of their key when it will come: what a job's
 * `expires_at` says holds at any time. Jobs without files are counted apart and take no place of a video.
 */
export async function markExpired(sql: Sql, { keepSeconds, keepCount }: Retention): Promise<void> {
  // Skips what another replica is hiding right now: two that wait for each other's rows would never end.
  await sql`
    update jobs set deleted_at = now() where id in (
      select id from jobs
      where deleted_at is null and finished_at < now() - ${keepSeconds}::float8 * interval '1 second'
      limit ${batch} for update skip locked)`;
  await sql`
    update jobs set deleted_at = now() where id in (
      select id from jobs where deleted_at is null and expires_at < now() limit ${batch} for update skip locked)`;
  await sql`
    update jobs set expires_at = least(
      now() + ${noticeSeconds} * interval '1 second', finished_at + ${keepSeconds}::float8 * interval '1 second')
    where id in (
      select job.id from key_loads, (values (true), (false)) as kind (has_files), lateral (
        select id from jobs
        where key_id = key_loads.key_id and (state = 'succeeded') = kind.has_files
          and finished_at is not null and deleted_at is null and expires_at is null
        order by finished_at desc, sequence desc offset ${keepCount} limit ${noticesAtOnce}
      ) as job)`;
}

/** Jobs that are hidden and not yet removed. */
export async function hiddenJobs(sql: Sql): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from jobs where deleted_at is not null order by deleted_at limit ${batch}`;
  return rows.map(({ id }) => id);
}

/** Removes the row of a hidden job and everything that belongs to it. */
export async function removeRow(sql: Sql, id: string): Promise<void> {
  await sql`delete from jobs where id = ${id} and deleted_at is not null`;
}
