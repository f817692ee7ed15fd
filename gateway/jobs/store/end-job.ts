import type { Sql, TransactionSql } from 'postgres';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import { anonymous, type Caller } from '../../keys/caller.ts';
import { channels, notify } from './channels.ts';
import { type JobRow, jobColumns, json, storedSnapshot } from './job-rows.ts';
import { visible } from './read-jobs.ts';

export interface CancelledRow {
  row: JobRow;
  /** False if the job had already ended, in whatever state. */
  cancelled: boolean;
  /** Whether a replica is working on the job and will clean up. */
  owned: boolean;
}

/** Cancels a revoked key's jobs, waiting ones first so that none of them starts meanwhile; returns how many. */
export async function cancelJobsOfKey(sql: Sql, keyId: string): Promise<number> {
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
    count += (await cancelJob(sql, id, caller))?.cancelled ? 1 : 0;
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
    const [found] = await transaction<(JobRow & { owner: string | null })[]>`
      select owner, ${jobColumns(transaction)} from jobs where id = ${id} and ${visible(sql, caller)} for update`;
    if (!found || !['queued', 'running'].includes(found.state)) {
      return found && { row: found, cancelled: false, owned: false };
    }
    const snapshot = storedSnapshot({ ...found, state: 'cancelled', failure: undefined, files: {} });
    const [row] = await transaction<[JobRow]>`
      with jobs as (
        update jobs set state = 'cancelled', files = '{}', revision = revision + 1, finished_at = now(),
          owner = null, lease_until = null
        where id = ${id} returning *
      ), event as (
        insert into job_events (job_id, number, kind, snapshot)
        select id, revision, 'state', ${json(transaction, snapshot)} from jobs
      ), results as (
        delete from job_results where job_id = ${id}
      ), delivery as (
        insert into webhook_deliveries (job_id) select id from jobs where webhook is not null
      )
      select ${jobColumns(transaction)} from jobs`;
    await notify(transaction, channels.cancelled, id);
    await notify(transaction, channels.events, `${id} ${row.revision}`);
    return { row, cancelled: true, owned: found.owner !== null };
  };
  return transact(sql, cancel, { signal });
}
