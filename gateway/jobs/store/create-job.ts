import { randomBytes } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import type { Sql, TransactionSql } from 'postgres';
import { FusionError } from '../../../services/kit/errors.ts';
import { activeTraceparent } from '../../../services/kit/telemetry/trace-context.ts';
import { transact } from '../../database/transact.ts';
import type { Caller } from '../../keys/caller.ts';
import type { NewJob } from '../job.ts';
import { channels, notify } from './channels.ts';
import { type JobRow, jobColumns, json, storedSnapshot } from './job-rows.ts';
import { storeSettings } from './stored-settings.ts';

export interface CreatedRow {
  row: JobRow;
  /** It was there already: the same request under the same client id. */
  replayed: boolean;
}

/**
 * Accepts a job, or gives the one that the same client id and fingerprint already made. Throws ALREADY_EXISTS (the same
 * client id, another fingerprint) or RESOURCE_EXHAUSTED (too many jobs wait, of all or of this key).
 */
export function createJob(sql: Sql, job: NewJob, caller: Caller, maxQueued: number): Promise<CreatedRow> {
  return transact(sql, async (transaction) => {
    // Also holds back other creations of this key until this one is committed, so that limits and ids are exact.
    const [load] = await transaction<[{ queued: number; allQueued: number }]>`
      insert into key_loads as loads (key_id) values (${caller.keyId})
      on conflict (key_id) do update set queued = loads.queued
      returning queued, (select sum(queued)::int from key_loads) as "allQueued"`;
    const earlier = job.clientId === '' ? undefined : await findByClientId(transaction, job, caller);
    if (earlier) {
      return { row: earlier, replayed: true };
    }
    const limit = caller.limits.queuedJobs;
    if (limit > 0 && load.queued >= limit) {
      throw await queueFull(transaction, `${load.queued} jobs of this key wait`, limit);
    }
    if (load.allQueued >= maxQueued) {
      throw await queueFull(transaction, `${load.allQueued} jobs wait`, maxQueued);
    }
    return { row: await insert(transaction, job, caller), replayed: false };
  });
}

async function findByClientId(sql: TransactionSql, { clientId, fingerprint }: NewJob, { keyId }: Caller) {
  const [earlier] = await sql<(JobRow & { fingerprint: string })[]>`
    select fingerprint, ${jobColumns(sql)} from jobs
    where key_id = ${keyId} and client_id = ${clientId} and client_id <> '' and deleted_at is null`;
  if (earlier && earlier.fingerprint !== fingerprint) {
    throw new FusionError(
      Status.ALREADY_EXISTS,
      `\`client_id\` "${clientId}" was already used by a different request`,
      { reason: 'CLIENT_ID_IN_USE', field: 'client_id' },
    );
  }
  return earlier;
}

async function insert(sql: TransactionSql, job: NewJob, { keyId }: Caller): Promise<JobRow> {
  const random = randomBytes(10).toString('hex');
  const { clientId, fingerprint, priority, settings, previews, webhook, warnings } = job;
  const fresh = {
    state: 'queued',
    attempt: 0,
    stages: [],
    warnings,
    failure: undefined,
    files: {},
    frames: 0,
  } as const;
  const [row] = await sql<[JobRow]>`
    with place as (
      select nextval(pg_get_serial_sequence('jobs', 'sequence')) as sequence
    ), jobs as (
      insert into jobs (id, sequence, key_id, client_id, fingerprint, state, priority, settings, previews, webhook,
        warnings, trace_context)
      overriding system value
      -- The place in the id: lists go on after a job that is gone.
      values ('video_' || lpad(to_hex((select sequence from place)), 12, '0') || ${random}::text,
        (select sequence from place), ${keyId}, ${clientId}, ${fingerprint}, 'queued', ${priority},
        ${json(sql, storeSettings(settings))}, ${previews}, ${json(sql, webhook)}, ${json(sql, warnings)},
        ${activeTraceparent()})
      returning *
    ), event as (
      insert into job_events (job_id, number, kind, snapshot)
      select id, revision, 'state', ${json(sql, storedSnapshot(fresh))} from jobs
    )
    select ${jobColumns(sql)} from jobs`;
  await notify(sql, channels.waiting);
  return row;
}

/** When to come back is an estimate: what a video takes of late, over how many are being made. */
async function queueFull(sql: TransactionSql, why: string, allowed: number): Promise<FusionError> {
  const [{ seconds }] = await sql<[{ seconds: number }]>`
    select coalesce(
      (select avg(extract(epoch from finished_at - started_at)) from (
        select finished_at, started_at from jobs
        where finished_at is not null and deleted_at is null and state = 'succeeded'
        order by finished_at desc limit 20) as latest)
      / greatest(1, (select sum(running) from key_loads)), 10)::float8 as seconds`;
  return new FusionError(Status.RESOURCE_EXHAUSTED, `The queue is full: ${why} (limit ${allowed}); try again later`, {
    reason: 'QUEUE_FULL',
    retryAfterSeconds: Math.ceil(Math.min(Math.max(seconds, 1), 300)),
  });
}
