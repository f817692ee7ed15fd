import { Status } from 'nice-grpc-common';
import type { ISql, Sql, TransactionSql } from 'postgres';
import { describe, FusionError } from '../../../services/kit/errors.ts';
import { activeTraceparent } from '../../../services/kit/telemetry/trace-context.ts';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import { budgetUsed, type UsedBudget } from '../../keys/budget.ts';
import type { Caller } from '../../keys/caller.ts';
import type { JobPicture, NewJob, StoredWebhook } from '../job.ts';
import type { PlannedWork } from '../planned-work.ts';
import { channels, notify } from './channels.ts';
import { newJobId } from './job-id.ts';
import { type JobRow, jobColumns, json, storedSnapshot } from './job-rows.ts';
import { requireKeptPicture } from './pictures.ts';
import { storeSettings } from './stored-settings.ts';
import { scheduleCall } from './webhook-calls.ts';

/** A new job, with its picture and webhook in stored form. */
export interface StorableJob extends Omit<NewJob, 'picture' | 'webhook'>, PlannedWork {
  picture: JobPicture | undefined;
  webhook: StoredWebhook | undefined;
  /** See `requiredLevel()`. */
  requiredLevel: number;
}

export interface CreatedRow {
  row: JobRow;
  /** Whether the job already existed: the same request under the same client id. */
  replayed: boolean;
}

/** Names the place of a job in an error about it. */
export type NameError = (error: unknown, index: number) => unknown;

export const unnamed: NameError = (error) => error;

/** Errors for jobs that do not exist already, by place in the list, found once no other jobs can be created. */
export type Judge = (sql: TransactionSql) => Promise<readonly (FusionError | undefined)[]>;

export interface CreateOptions {
  /** Once it has aborted, nothing is created. */
  signal?: AbortSignal;
  judge?: Judge | undefined;
  named?: NameError;
  /** Called with the new jobs' ids just before the commit: if that fails, the jobs may exist all the same. */
  onCommit?(ids: readonly string[]): void;
}

/** Accepts one job, see {@link createJobs}. */
export async function createJob(
  sql: Sql,
  job: StorableJob,
  caller: Caller,
  maxQueued: number,
  options?: CreateOptions,
): Promise<CreatedRow> {
  const [created] = await createJobs(sql, [job], caller, maxQueued, options);
  return created!;
}

/**
 * Accepts jobs, all or none; for a known client id and fingerprint, the earlier job. Throws ALREADY_EXISTS (the same
 * client id, another fingerprint) or RESOURCE_EXHAUSTED (too many jobs wait, of all or of this key, or a budget of the
 * key is used).
 */
export function createJobs(
  sql: Sql,
  jobs: readonly StorableJob[],
  caller: Caller,
  maxQueued: number,
  { signal, judge, named = unnamed, onCommit }: CreateOptions = {},
): Promise<CreatedRow[]> {
  const newIds: string[] = [];
  const create = async (transaction: TransactionSql): Promise<CreatedRow[]> => {
    const created: CreatedRow[] = [];
    // Until this is committed, so that limits, client ids and forecasts are exact.
    lock(transaction, 'create');
    const refusals = await judge?.(transaction);
    const asked = await countNew(transaction, jobs, caller);
    // With the first new job there must be room for all.
    const requireRoomForAll = (loads: Loads) =>
      newIds.length === 0 ? requireRoomFor(transaction, loads, caller, maxQueued, asked) : undefined;
    for (const [index, job] of jobs.entries()) {
      const refusal = job.refusal ?? refusals?.[index];
      const each = await createOne(transaction, job, caller, requireRoomForAll, refusal).catch((error) => {
        throw named(error, index);
      });
      created.push(each);
      newIds.push(...(each.replayed ? [] : [each.row.id]));
    }
    if (newIds.length > 0) {
      await notify(transaction, channels.waiting);
    }
    return created;
  };
  return transact(sql, create, { signal, onCommit: () => newIds.length > 0 && onCommit?.(newIds) });
}

async function createOne(
  sql: TransactionSql,
  job: StorableJob,
  caller: Caller,
  requireRoomForAll: (loads: Loads) => Promise<void> | undefined,
  refusal: FusionError | undefined,
): Promise<CreatedRow> {
  const { queued, allQueued, sequence, key, isRevoked } = await enter(sql, caller);
  if (isRevoked) {
    // The key was revoked after the caller was authenticated; its jobs are being cancelled.
    throw new FusionError(Status.UNAUTHENTICATED, 'This API key was revoked', { reason: 'INVALID_API_KEY' });
  }
  const earlier = await findByClientId(sql, job, caller);
  if (earlier) {
    return { row: earlier, replayed: true };
  }
  if (refusal) {
    throw refusal;
  }
  await requireRoomForAll({ queued, allQueued });
  if (job.picture) {
    await requireKeptPicture(sql, job.picture);
  }
  const row = await insert(sql, { id: newJobId(sequence, key), sequence }, job, caller);
  if (job.webhook?.events?.includes('queued')) {
    await scheduleCall(sql, row.id, 'queued');
  }
  return { row, replayed: false };
}

type Loads = Pick<Entrance, 'queued' | 'allQueued'>;

/**
 * Throws RESOURCE_EXHAUSTED if the queue is full, or the key's share or budget of it. Nothing is blocked, so a job may still
 * be refused when it is created.
 */
export async function requireRoom(sql: Sql, caller: Caller, maxQueued: number): Promise<void> {
  const [loads] = await sql<[Loads]>`select ${queuedCounts(sql, caller)} from key_loads`;
  await requireRoomFor(sql, loads, caller, maxQueued, 1);
}

/** @param asked number of new jobs */
async function requireRoomFor(
  sql: ISql,
  { queued, allQueued }: Loads,
  caller: Caller,
  maxQueued: number,
  asked: number,
): Promise<void> {
  const limit = caller.limits.queuedJobs;
  if (limit > 0 && queued + asked > limit) {
    throw await queueFull(sql, `${queued} jobs of this key wait`, limit, asked);
  }
  if (allQueued + asked > maxQueued) {
    throw await queueFull(sql, `${allQueued} jobs wait`, maxQueued, asked);
  }
  const budget = await findFullBudget(sql, caller, asked);
  if (budget) {
    throw budgetUsed(budget, asked, budget.resetSeconds);
  }
}

/** How many of these jobs do not exist yet. */
async function countNew(sql: ISql, jobs: readonly StorableJob[], { keyId }: Caller): Promise<number> {
  const ids = jobs.map(({ clientId }) => clientId).filter((id) => id !== '');
  if (ids.length === 0 || jobs.length === 1) {
    return jobs.length;
  }
  const [{ count }] = await sql<[{ count: number }]>`
    select count(*)::int as count from jobs
    where key_id = ${keyId} and client_id = any(${ids}) and client_id <> '' and deleted_at is null`;
  return jobs.length - ids.length + new Set(ids).size - count;
}

function queuedCounts(sql: ISql, { keyId }: Caller) {
  return sql`coalesce(sum(queued), 0)::int as "allQueued",
    coalesce(sum(queued) filter (where key_id = ${keyId}), 0)::int as queued`;
}

interface Entrance {
  /** Number of queued jobs, of this key and of all keys. */
  queued: number;
  allQueued: number;
  /** Sequence number of the next job. */
  sequence: number;
  /** See {@link newJobId}. */
  key: Uint8Array;
  isRevoked: boolean;
}

async function enter(sql: TransactionSql, caller: Caller): Promise<Entrance> {
  const [entrance] = await sql<[Entrance]>`
    select ${queuedCounts(sql, caller)},
      nextval(pg_get_serial_sequence('jobs', 'sequence')) as sequence,
      (select value from secrets where name = 'job_ids') as key,
      exists (select 1 from api_keys where id = ${caller.keyId} and revoked_at is not null) as "isRevoked"
    from key_loads`;
  return entrance;
}

/**
 * The job that the same client id made; `undefined` if there is none. Throws ALREADY_EXISTS if it, or one with the other
 * client id, was made by a different request.
 */
export async function findByClientId(
  sql: Sql | TransactionSql,
  { clientId, otherClientId, fingerprint }: Pick<NewJob, 'clientId' | 'otherClientId' | 'fingerprint'>,
  { keyId }: Caller,
) {
  if (clientId === '') {
    return undefined;
  }
  const [earlier] = await sql<(JobRow & { fingerprint: string })[]>`
    select fingerprint, ${jobColumns(sql)} from jobs
    where key_id = ${keyId} and client_id = any(${[clientId, otherClientId]}) and client_id <> '' and deleted_at is null
    order by client_id = ${clientId} desc`;
  if (earlier && (earlier.clientId !== clientId || earlier.fingerprint !== fingerprint)) {
    throw new FusionError(
      Status.ALREADY_EXISTS,
      `\`client_id\` ${describe(clientId)} was already used by a different request`,
      { reason: 'CLIENT_ID_IN_USE', field: 'client_id' },
    );
  }
  return earlier;
}

/** The budget that does not allow so many further jobs for the longest time. */
async function findFullBudget(sql: ISql, { keyId }: Caller, asked: number) {
  if (keyId === '') {
    return undefined;
  }
  const [budget] = await sql<[(UsedBudget & { resetSeconds: number })?]>`
    select amount, unit, period, used, "resetsAt", extract(epoch from "resetsAt" - now())::float8 as "resetSeconds" from (
      select amount, unit, period, resets_at as "resetsAt",
        used + case unit when 'videos' then coalesce(queued + running, 0) else 0 end as used,
        case unit when 'videos' then ${asked}::int end as videos
      from budget_use left join key_loads using (key_id) where key_id = ${keyId}
    ) as budgets
    where used >= amount or used + videos > amount
    order by coalesce(videos > amount, false) desc, "resetsAt" desc limit 1`;
  return budget;
}

async function insert(
  sql: TransactionSql,
  { id, sequence }: { id: string; sequence: number },
  {
    clientId,
    fingerprint,
    model,
    version,
    requiredLevel,
    priority,
    work,
    keptStages,
    settings,
    picture,
    previews,
    webhook,
    deadline,
    metadata,
    remixOf,
    warnings,
  }: StorableJob,
  { keyId }: Caller,
): Promise<JobRow> {
  const fresh = {
    state: 'queued',
    attempt: 0,
    pauses: 0,
    stages: [],
    warnings,
    failure: undefined,
    files: {},
    frames: 0,
    reusedStages: 0,
    lostSeconds: {},
  } as const;
  const [row] = await sql<[JobRow]>`
    with jobs as (
      insert into jobs (id, sequence, key_id, client_id, fingerprint, model, model_version, required_level, state, priority,
        work, kept_stages, settings, picture, previews, webhook, deadline, metadata, remix_of, warnings, trace_context)
      overriding system value
      values (${id}, ${sequence}, ${keyId}, ${clientId}, ${fingerprint}, ${model}, ${version}, ${requiredLevel}, 'queued',
        ${priority}, ${work}, ${keptStages}, ${json(sql, storeSettings(settings))}, ${json(sql, picture)}, ${previews},
        ${json(sql, webhook)}, ${deadline ?? null}::timestamptz, ${json(sql, metadata)}, ${remixOf}, ${json(sql, warnings)},
        ${activeTraceparent()})
      returning *
    ), event as (
      insert into job_events (job_id, number, kind, snapshot)
      select id, revision, 'state', ${json(sql, storedSnapshot(fresh))} from jobs
    )
    select ${jobColumns(sql)} from jobs`;
  return row;
}

/**
 * The retry delay is an estimate: the recent time per video divided by the number of videos in progress. There is none for
 * more jobs than the queue ever takes.
 */
async function queueFull(sql: ISql, waiting: string, allowed: number, asked: number): Promise<FusionError> {
  const fault = asked === 1 ? 'is full' : `has no room for ${asked} more jobs`;
  const message = `The queue ${fault}: ${waiting} (limit ${allowed})`;
  if (asked > allowed) {
    return new FusionError(Status.RESOURCE_EXHAUSTED, message, { reason: 'QUEUE_FULL' });
  }
  const [{ seconds }] = await sql<[{ seconds: number }]>`
    select coalesce(
      (select avg(extract(epoch from finished_at - started_at)) from (
        select finished_at, started_at from jobs
        where finished_at is not null and deleted_at is null and state = 'succeeded'
        order by finished_at desc limit 20) as latest)
      / greatest(1, (select sum(running) from key_loads)), 10)::float8 as seconds`;
  return new FusionError(Status.RESOURCE_EXHAUSTED, `${message}; try again later`, {
    reason: 'QUEUE_FULL',
    retryAfterSeconds: Math.ceil(Math.min(Math.max(seconds, 1), 300)),
  });
}
