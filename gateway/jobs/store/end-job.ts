import type { Sql, TransactionSql } from 'postgres';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import { anonymous, type Caller } from '../../keys/caller.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { JobFailure } from '../job.ts';
import { jobPrefix } from '../object-keys.ts';
import { channels, notify } from './channels.ts';
import { type JobRow, jobColumns, json, storedSnapshot } from './job-rows.ts';
import { visible } from './read-jobs.ts';
import { wantsCall } from './webhook-calls.ts';

export interface CancelledRow {
  row: JobRow;
  /** False if the job had already ended, in whatever state. */
  cancelled: boolean;
  /** Whether a replica is working on the job and will clean up. */
  owned: boolean;
}

/**
 * Cancels a revoked key's jobs, waiting ones first so that none of them starts meanwhile, each on its own so that no
 * statement takes too long. Removes the files of those that no replica works on. Returns how many.
 */
export async function cancelJobsOfKey(
  sql: Sql,
  objects: Pick<ObjectStore, 'removeAll'> | undefined,
  keyId: string,
): Promise<number> {
  const caller: Caller = { ...anonymous, keyId };
  const rows = await transact(sql, (transaction) => {
    // Includes jobs being created right now: later creations see that the key is revoked.
    lock(transaction, 'create');
    return transaction<{ id: string }[]>`
      select id from jobs where key_id = ${keyId} and state in ('queued', 'running') and deleted_at is null
      order by state = 'running', sequence`;
  });
  let count = 0;
  for (const { id } of rows) {
    const found = await cancelJob(sql, id, caller);
    count += found?.cancelled ? 1 : 0;
    if (found?.cancelled && !found.owned) {
      // Otherwise they are removed when the job expires.
      await objects?.removeAll(jobPrefix(id)).catch(() => {});
    }
  }
  return count;
}

/** Cancels a queued or running job; `undefined` if this caller has no such job. */
export function cancelJob(
  sql: Sql,
  id: string,
  caller: Caller,
  signal?: AbortSignal,
): Promise<CancelledRow | undefined> {
  const cancel = async (transaction: TransactionSql): Promise<CancelledRow | undefined> => {
    const [found] = await transaction<OwnedRow[]>`
      select owner, ${jobColumns(transaction)} from jobs where id = ${id} and ${visible(sql, caller)} for update`;
    if (!found || !['queued', 'running'].includes(found.state)) {
      return found && { row: found, cancelled: false, owned: false };
    }
    const row = await end(transaction, found, { state: 'cancelled' });
    return { row, cancelled: true, owned: found.owner !== null };
  };
  return transact(sql, cancel, { signal });
}

/** A job that missed its deadline. */
export interface OverdueRow {
  row: JobRow;
  failure: JobFailure;
  /** Whether a replica is working on the job and will clean up. */
  owned: boolean;
}

/** At most this many jobs fail at a time. */
const maxOverdue = 100;

/** Fails queued and running jobs whose deadline has passed. */
export async function failOverdueJobs(sql: Sql): Promise<OverdueRow[]> {
  const overdue = await sql<{ id: string }[]>`
    select id from jobs where deadline < now() and state in ('queued', 'running') order by deadline limit ${maxOverdue}`;
  const failed: OverdueRow[] = [];
  for (const { id } of overdue) {
    const job = await transact(sql, (transaction) => failOverdueJob(transaction, id));
    failed.push(...(job ? [job] : []));
  }
  return failed;
}

async function failOverdueJob(sql: TransactionSql, id: string): Promise<OverdueRow | undefined> {
  const [found] = await sql<OwnedRow[]>`
    select owner, ${jobColumns(sql)} from jobs where id = ${id} and state in ('queued', 'running')
    for update skip locked`;
  if (!found) {
    return undefined;
  }
  const failure = missedDeadline(found);
  return { row: await end(sql, found, { state: 'failed', failure }), failure, owned: found.owner !== null };
}

function missedDeadline({ deadline, attempt, stages }: JobRow): JobFailure {
  const last = stages.at(-1);
  const doing = last
    ? `the job was in the stage ${last.stage}, at ${last.step} of ${last.total}`
    : `the job was ${attempt === 0 ? 'queued' : 'starting'}`;
  return {
    code: 'DEADLINE_EXCEEDED',
    reason: 'DEADLINE_MISSED',
    stage: last?.stage,
    message: `The deadline ${deadline?.toISOString()} passed while ${doing}`,
    attempt,
  };
}

type OwnedRow = JobRow & { owner: string | null };

/** Ends a job that its worker, if it has one, does not end itself. */
async function end(
  sql: TransactionSql,
  found: JobRow,
  outcome: { state: 'cancelled'; failure?: undefined } | { state: 'failed'; failure: JobFailure },
): Promise<JobRow> {
  const { state, failure } = outcome;
  const snapshot = storedSnapshot({ ...found, state, failure, files: {} });
  const [row] = await sql<[JobRow]>`
    with jobs as (
      update jobs set state = ${state}, failure = ${json(sql, snapshot.failure)}, files = '{}', revision = revision + 1,
        finished_at = now(), owner = null, lease_until = null
      where id = ${found.id} returning *
    ), event as (
      insert into job_events (job_id, number, kind, snapshot)
      select id, revision, 'state', ${json(sql, snapshot)} from jobs
    ), results as (
      delete from job_results where job_id = ${found.id}
    ), checkpoint as (
      delete from job_checkpoints where job_id = ${found.id}
    ), delivery as (
      insert into webhook_deliveries (job_id, event) select id, 'failed' from jobs where ${wantsCall(sql, 'failed')}
    )
    select ${jobColumns(sql)} from jobs`;
  await notify(sql, channels.cancelled, found.id);
  await notify(sql, channels.events, `${found.id} ${row.revision}`);
  return row;
}
