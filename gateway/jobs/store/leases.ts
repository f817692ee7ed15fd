import type { Fragment, ISql, Sql, TransactionSql } from 'postgres';
import type { Checkpoint } from '../../../services/pipeline/checkpoint-pieces.ts';
import { lock } from '../../database/locks.ts';
import { transact } from '../../database/transact.ts';
import type { JobModel } from '../../models/model-route.ts';
import type { Verdict } from '../../moderation/moderation.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import type { StageProgress } from '../job.ts';
import { knownLevel } from '../required-level.ts';
import { addSeconds } from '../stage-seconds.ts';
import { channels, notify } from './channels.ts';
import { type JobRow, jobColumns, json, storedSnapshot } from './job-rows.ts';
import { columns } from './served-models.ts';
import { scheduleCall } from './webhook-calls.ts';

/** How long a replica may be silent before others adopt its jobs, in seconds. */
export const leaseSeconds = 8;
/** How often leases are renewed and jobs of dead replicas are looked for, in seconds. */
export const renewSeconds = 2;
/** Longer than any lease or pause between attempts, in seconds. */
const maxLeaseSeconds = 60;

/** A stage's result in the object store. */
export interface StoredResult extends StoredObject {
  key: string;
}

/** The recorded result of one of a job's stages. */
export interface RecordedResult extends StoredResult {
  /** See `stageContent()`; null if the stage could not name its model. */
  content: string | null;
}

/** A checkpoint in the object store. */
export interface StoredCheckpoint extends StoredResult, Pick<Checkpoint, 'step' | 'run'> {
  /** The stage's name among the job's results. */
  stage: string;
  /** Time in the stage up to the step. */
  seconds: number;
}

/** A job that a worker has claimed. */
export interface ClaimedJob {
  row: JobRow;
  /** Recorded results, by stage. */
  results: ReadonlyMap<string, RecordedResult>;
  /** Where the unfinished stage can continue. */
  checkpoint: StoredCheckpoint | undefined;
  /** Attempts since the last finished stage, by what ended them: a transient failure, a stall or fault, a crash. */
  passingFailures: number;
  faults: number;
  crashes: number;
  /** `traceparent`s of the creation and the previous attempt, separated by a space; empty without tracing. */
  traceContext: string;
  /** The moderation service's verdict on the frames, once it has given one. */
  framesVerdict: Verdict | null;
}

type ClaimableRow = JobRow &
  Pick<ClaimedJob, 'passingFailures' | 'faults' | 'crashes' | 'traceContext' | 'framesVerdict'> & {
    owner: string | null;
    work: number;
    /** Whether another job was paused for it. */
    goesFirst: boolean;
  };

export interface ClaimOptions {
  /** The claiming replica. */
  owner: string;
  /** Jobs that it is already working on. */
  running: readonly string[];
  /** Models that it serves and has room for. */
  models: readonly JobModel[];
  /** Whether to claim waiting jobs or jobs of silent replicas. */
  take: 'waiting' | 'silent';
  /** Once it has aborted, nothing is claimed. */
  signal?: AbortSignal;
}

/** A paused job lets the job that it was paused for go first, but waits no longer for it, seconds. */
const pauseSeconds = 5;

/**
 * Claims the next job: one that lost its replica, else one that was released, else one that is queued. Of the keys
 * below their limit of running jobs and with budget left, the key with the least work served by the model in proportion to its
 * share goes next. Within a key, jobs start in order of acceptance, except that each level of priority lets a job overtake 10
 * earlier ones. A paused job was charged to its key when it started, so it goes before jobs that have not started; the job
 * for which it was paused goes before all. `undefined` if there is nothing to claim.
 */
export function claimJob(sql: Sql, options: ClaimOptions): Promise<ClaimedJob | undefined> {
  const claim = async (transaction: TransactionSql) => {
    // One claim at a time: two concurrent claims could exceed a key's limit.
    lock(transaction, 'claim');
    const found = await findJob(transaction, options);
    if (found?.state === 'queued' && !found.startedAt) {
      await charge(transaction, found);
    }
    return found && (await begin(transaction, found, options.owner));
  };
  return transact(sql, claim, { signal: options.signal });
}

/** How far into a key's queue the claim looks for a job of any model before it looks for those of each. */
const glance = 20;

async function findJob(sql: TransactionSql, options: ClaimOptions): Promise<ClaimableRow | undefined> {
  const { running, take } = options;
  const { names, versions } = columns(options.models);
  const isServed = sql`(model, model_version) in (select model, version from served) and required_level <= ${knownLevel}`;
  const place = sql`sequence - 10 * priority`;
  const [row] = await sql<ClaimableRow[]>`
    with served as materialized (
      select model, version from unnest(${names}::text[], ${versions}::text[]) as served (model, version)
    ), keys as materialized (
      select loads.key_id, exists (select from budget_use where key_id = loads.key_id and used >= amount) as is_used_up
      from key_loads as loads left join api_keys on api_keys.id = loads.key_id
      where ${take === 'waiting'} and loads.queued > 0
        and (coalesce(api_keys.concurrent_jobs, 0) = 0 or loads.running < api_keys.concurrent_jobs)
    ), fresh as (
      select job.id, keys.key_id, job.model, job.model_version, false as has_place, null::float8 as paid_at, job.place, job.sequence
      from keys cross join lateral (
        -- The first one is nearly always of a model that is served; only otherwise is the rest read.
        (select id, model, model_version, sequence, place from (
            select id, sequence, ${place} as place, model, model_version, required_level, started_at from jobs
            where state = 'queued' and key_id = keys.key_id order by ${place}, sequence limit ${glance}) as jobs
          where started_at is null and ${isServed} limit 1)
        union all
        (select first.* from served cross join lateral (
            select id, model, model_version, sequence, ${place} as place from jobs
            where state = 'queued' and started_at is null and key_id = keys.key_id
              and model = served.model and model_version = served.version and required_level <= ${knownLevel}
            order by ${place}, sequence limit 1) as first
          order by place, sequence limit 1)
        limit 1) as job
      where not is_used_up
    ), paused as (
      select id, keys.key_id, model, model_version, false, coalesce(virtual_start, 0), ${place}, sequence
      from keys join jobs using (key_id)
      where state = 'queued' and started_at is not null and ${isServed}
        and not (paused_at > now() - ${pauseSeconds}::float8 * interval '1 second'
          and exists (select from jobs as other where other.id = jobs.pause_for and other.state = 'queued'))
        and not exists (select from jobs as other
          where other.state = 'queued' and (other.started_at is not null or not is_used_up) and other.key_id = jobs.key_id
            and other.model = jobs.model and other.model_version = jobs.model_version
            and other.required_level <= ${knownLevel}
            and (other.sequence - 10 * other.priority, other.sequence) < (jobs.sequence - 10 * jobs.priority, jobs.sequence))
    ), replacing as (
      select id, keys.key_id, model, model_version, true, null::float8, ${place}, sequence from keys join jobs using (key_id)
      where state = 'queued' and started_at is null and not is_used_up and ${isServed}
        -- "is not null" tells the planner that an index has them all; otherwise it reads the whole table.
        and id in (select pause_for from jobs as other where pause_for is not null and state = 'queued')
    ), candidates as (
      select * from fresh union all select * from paused union all select * from replacing
    )
    select owner, passing_failures as "passingFailures", stalls as faults, crashes, trace_context as "traceContext", work,
      frames_verdict as "framesVerdict",
      exists (select from jobs as paused
        where pause_for = jobs.id and pause_for is not null and state = 'queued') as "goesFirst",
      ${jobColumns(sql)} from jobs
    where id = coalesce(
      (select id from jobs
        where state = 'running' and lease_until < now() and (owner is null) = ${take === 'waiting'}
          and id <> all(${running as string[]}) and ${isServed}
        order by lease_until limit 1),
      (select id from (
          select distinct on (key_id) * from candidates
          order by key_id, has_place desc, (paid_at is not null) desc, place, sequence) as first
        left join fair_starts using (key_id, model, model_version) left join fair_clocks using (model, model_version)
        order by has_place desc, ${lag(sql, sql`paid_at`)}, sequence limit 1))
      -- Checked again: it may have been cancelled or renewed since.
      and (state = 'queued' or (state = 'running' and lease_until < now()))
    for update skip locked`;
  return row;
}

/**
 * How far a key is ahead of a model's clock, in virtual time: the key with the least goes next.
 *
 * @param paidAt of a paused job: its own start, which counts instead
 */
export function lag(sql: ISql, paidAt: Fragment): Fragment {
  return sql`least(${paidAt}, greatest(coalesce(fair_starts.virtual_start, 0), coalesce(virtual_time, 0)))
    - coalesce(virtual_time, 0)`;
}

/**
 * Charges a job to its key (start-time fair queueing, Goyal et al. 1996). A job that goes before all leaves the clock as it
 * is: otherwise the keys that it overtakes would lose what they are owed.
 */
async function charge(
  sql: TransactionSql,
  { id, keyId, model, version, work, goesFirst }: ClaimableRow,
): Promise<void> {
  await sql`
    with start as (
      select greatest(
        (select virtual_start from fair_starts where key_id = ${keyId} and model = ${model} and model_version = ${version}),
        (select virtual_time from fair_clocks where model = ${model} and model_version = ${version}),
        0) as at
    ), tick as (
      insert into fair_clocks (model, model_version, virtual_time) select ${model}, ${version}, at from start where ${!goesFirst}
      on conflict (model, model_version) do update set virtual_time = excluded.virtual_time
    ), job as (
      update jobs set virtual_start = start.at from start where id = ${id}
    )
    insert into fair_starts (key_id, model, model_version, virtual_start)
    select ${keyId}, ${model}, ${version}, at + ${work}::float8 / coalesce((select share from api_keys where id = ${keyId}), 1)
    from start
    on conflict (key_id, model, model_version) do update set virtual_start = excluded.virtual_start`;
}

async function begin(sql: TransactionSql, found: ClaimableRow, owner: string): Promise<ClaimedJob> {
  const stored = await sql<(RecordedResult & { stage: string })[]>`
    select stage, object_key as key, bytes, sha256, content from job_results where job_id = ${found.id}`;
  const results = new Map(stored.map(({ stage, ...result }) => [stage, result]));
  const checkpoint = await findCheckpoint(sql, found, results);
  // Of a stage that an earlier attempt started but did not finish, what follows its checkpoint is dropped.
  const stages = found.stages.slice(0, results.size);
  const dropped = found.stages.slice(results.size);
  if (checkpoint) {
    const [begun] = dropped.splice(0, 1) as [StageProgress];
    const { step, seconds } = checkpoint;
    stages.push({ stage: begun.stage, step, total: begun.total, seconds });
    dropped.push({ ...begun, seconds: Math.max(0, begun.seconds - seconds) });
  }
  const lostSeconds = addSeconds(found.lostSeconds, dropped);
  // A pause ends no attempt.
  const isPaused = found.state === 'queued' && found.startedAt !== null;
  const attempt = found.attempt + (isPaused ? 0 : 1);
  const reusedStages = isPaused ? found.reusedStages : results.size;
  const changes = { state: 'running', attempt, stages, failure: undefined, reusedStages, lostSeconds } as const;
  const snapshot = storedSnapshot({ ...found, ...changes });
  const crashes = found.crashes + (found.owner !== null && mayHaveCrashedGateway(found) ? 1 : 0);
  const [row] = await sql<[JobRow]>`
    with jobs as (
      update jobs set state = 'running', attempt = ${attempt}, claimed_at = now(), pause_for = null,
        stages = ${json(sql, stages)}, owner = ${owner}, revision = revision + 1,
        lease_until = now() + ${leaseSeconds}::float8 * interval '1 second',
        started_at = coalesce(started_at, now()), crashes = ${crashes},
        reused_stages = ${reusedStages}, lost_seconds = ${json(sql, lostSeconds)}
      where id = ${found.id} returning *
    ), event as (
      insert into job_events (job_id, number, kind, snapshot)
      select id, revision, 'state', ${json(sql, snapshot)} from jobs
    )
    select ${jobColumns(sql)} from jobs`;
  if (found.state === 'queued' && !isPaused && found.webhook?.events?.includes('running')) {
    await scheduleCall(sql, row.id, 'running');
  }
  await notify(sql, channels.events, `${row.id} ${row.revision}`);
  const { passingFailures, faults, traceContext, framesVerdict } = found;
  return { row, results, checkpoint, passingFailures, faults, crashes, traceContext, framesVerdict };
}

/** The checkpoint of the stage that the previous attempt started. */
async function findCheckpoint(
  sql: TransactionSql,
  { id, stages }: ClaimableRow,
  results: ClaimedJob['results'],
): Promise<StoredCheckpoint | undefined> {
  const [checkpoint] = await sql<StoredCheckpoint[]>`
    select stage, step, run, object_key as key, bytes, sha256, seconds from job_checkpoints where job_id = ${id}`;
  // A gateway of the previous release leaves it there when it finishes the stage.
  return checkpoint && !results.has(checkpoint.stage) && stages.length > results.size ? checkpoint : undefined;
}

/**
 * Claims a job of a model that no gateway has served for `seconds`, to end it; `undefined` if there is none. Once they
 * have no jobs, such models are forgotten.
 */
export function claimUnserved(sql: Sql, owner: string, seconds: number): Promise<ClaimedJob | undefined> {
  return transact(sql, async (transaction) => {
    lock(transaction, 'claim');
    const models = await transaction<JobModel[]>`
      select model, version from model_routes where served_at < now() - ${seconds}::float8 * interval '1 second'`;
    if (models.length === 0) {
      return undefined;
    }
    const { names, versions } = columns(models);
    const served = transaction`(select * from unnest(${names}::text[], ${versions}::text[]))`;
    const [found] = await transaction<ClaimableRow[]>`
      select owner, passing_failures as "passingFailures", stalls as faults, crashes, trace_context as "traceContext", work,
        frames_verdict as "framesVerdict", false as "goesFirst", ${jobColumns(transaction)} from jobs
      where (model, model_version) in ${served} and required_level <= ${knownLevel}
        and (state = 'queued' or (state = 'running' and lease_until < now()))
      limit 1 for update skip locked`;
    if (found) {
      return begin(transaction, found, owner);
    }
    await transaction`
      with forgotten as (
        delete from model_routes where (model, version) in ${served} and not exists (
          select from jobs where jobs.model = model_routes.model and model_version = version
            and state in ('queued', 'running'))
        returning model, version
      ), starts as (
        delete from fair_starts where (model, model_version) in (select model, version from forgotten)
      )
      delete from fair_clocks where (model, model_version) in (select model, version from forgotten)`;
    return undefined;
  });
}

/**
 * Shortens leases and pauses that end in the distant future because the database's clock was set back. Live replicas
 * renew their leases in time.
 */
export async function shortenLeases(sql: Sql): Promise<void> {
  await sql`
    update jobs set lease_until = now() + ${leaseSeconds}::float8 * interval '1 second'
    where state = 'running' and lease_until > now() + ${maxLeaseSeconds}::float8 * interval '1 second'`;
}

/**
 * Whether a job may have crashed the gateway that worked on it. Most of the time a gateway only relays numbers between
 * services; its own work is encoding pictures, in native code. A crash at any other time is not the job's fault.
 */
function mayHaveCrashedGateway({ stages, previews }: JobRow): boolean {
  return previews || stages.at(-1)?.stage === 'decoder';
}

/** Renews the leases that a replica still holds; returns those jobs' attempts by job id. */
export async function renewLeases(sql: Sql, owner: string, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await sql<{ id: string; attempt: number }[]>`
    update jobs set lease_until = now() + ${leaseSeconds}::float8 * interval '1 second'
    where id = any(${ids as string[]}) and owner = ${owner} and state = 'running'
    returning id, attempt`;
  return new Map(rows.map(({ id, attempt }) => [id, attempt]));
}
