import type { Sql } from 'postgres';
import type { Caller } from '../../keys/caller.ts';
import { visible } from './read-jobs.ts';

/** Jobs removed per round. */
const batch = 50;

/** Surplus jobs of one key marked per round: far more than a key makes between two rounds. */
const noticesAtOnce = 1000;

/** Time between marking a surplus job and removing it, in seconds. */
const noticeSeconds = 60;

/** Which finished jobs are kept. */
export interface Retention {
  /** How long after their end. */
  keepSeconds: number;
  /** Videos kept per key, and as many jobs that ended without one; beyond that, the oldest are removed. */
  keepCount: number;
}

/** Hides a finished job from all callers; false if this caller has no such job. */
export async function markDeleted(sql: Sql, id: string, caller: Caller): Promise<boolean> {
  const rows = await sql`
    update jobs set deleted_at = now() where id = ${id} and finished_at is not null and ${visible(sql, caller)}
    returning id`;
  return rows.length === 1;
}

/**
 * Hides expired jobs, and sets the expiry of those beyond their key's limit, so that a job's `expires_at` is always
 * right. Jobs without files are counted separately: they do not displace videos.
 */
export async function markExpired(sql: Sql, { keepSeconds, keepCount }: Retention): Promise<void> {
  // Skips rows that another replica is hiding right now: waiting for each other's rows would deadlock.
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

/** Jobs that are hidden but not yet removed. */
export async function hiddenJobs(sql: Sql): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from jobs where deleted_at is not null order by deleted_at limit ${batch}`;
  return rows.map(({ id }) => id);
}

/** Deletes the row of a hidden job and everything that references it. Returns the id of the job's picture, if any. */
export async function removeRow(sql: Sql, id: string): Promise<string | undefined> {
  const [row] = await sql<[{ picture: string | null }?]>`
    delete from jobs where id = ${id} and deleted_at is not null returning picture->>'id' as picture`;
  return row?.picture ?? undefined;
}
