import type { Fragment, ISql, PendingQuery, Row, Sql, TransactionSql } from 'postgres';
import { frameRateNames } from '../../../services/pipeline/preset.ts';
import { maxCharactersToSplit } from '../../../services/pipeline/things.ts';
import { transact } from '../../database/transact.ts';
import type { BudgetLeft, KeyInQueue, QueuedJob, QueueSnapshot, RunningJob } from '../queue/queue-snapshot.ts';
import type { FinishedJob } from '../queue/stage-times.ts';
import type { WorkSettings } from '../video-work.ts';
import { isActive, readPlaces } from './gateways.ts';
import { lag } from './leases.ts';

/** Limits on what is read, however many there are. */
const maxKeys = 500;
const maxQueued = 2000;
const maxRunning = 2000;
/** The latest videos, of the latest ended jobs. */
const maxFinished = 50;
const maxEnded = 200;

/**
 * The queue as it is now. Takes the same time however many jobs are queued.
 *
 * @param usualPlaces of a gateway that has not reported how many it has
 */
export function readQueue(sql: Sql, usualPlaces: number): Promise<QueueSnapshot> {
  // Over one connection.
  return transact(sql, (transaction) => readQueueWithin(transaction, usualPlaces));
}

/** {@link readQueue} within a transaction. */
export async function readQueueWithin(sql: TransactionSql, usualPlaces: number): Promise<QueueSnapshot> {
  const paidAt = sql`coalesce(virtual_start, 0) - coalesce(virtual_time, 0)`;
  const [[clock], places, keys, budgets, heads, running, finished] = await Promise.all([
    sql<[{ at: Date; nextSequence: number }]>`
      select now() as at, (select coalesce(max(sequence), 0) + 1 from jobs) as "nextSequence"`,
    readPlaces(sql, usualPlaces),
    readKeys(sql),
    readBudgets(sql, queuedKeys(sql)),
    sql<QueuedJob[]>`
      with lines as (${queuedKeys(sql)})
      select job.* from lines cross join lateral (
        select id, key_id as "keyId", model, model_version as version, sequence, priority, work, stages,
          case when started_at is not null then ${paidAt} end as "paidAt",
          exists (select from jobs as paused
            where pause_for = jobs.id and pause_for is not null and state = 'queued') as "goesFirst", ${workSettings(sql)} as settings
        from jobs left join fair_clocks using (model, model_version) where state = 'queued' and key_id = lines.key_id
        order by sequence - 10 * priority, sequence
        limit (select greatest(2, ${maxQueued}::int / greatest(1, count(*))) from lines)) as job`,
    sql<RunningJob[]>`
      select id, key_id as "keyId", model, model_version as version, sequence, priority, stages, pauses,
        pause_for as "pauseFor", ${paidAt} as "paidAt", deadline, ${isActive(sql, sql`jobs.owner`)} as "hasPlace",
        extract(epoch from now() - coalesce(claimed_at, started_at))::float8 as seconds, ${workSettings(sql)} as settings
      from jobs left join fair_clocks using (model, model_version) where state = 'running' limit ${maxRunning}`,
    readFinished(sql),
  ]);
  return {
    ...clock,
    places,
    keys: keys.map((key) => ({ ...key, budgets: budgets.filter(({ keyId }) => keyId === key.id) })),
    heads: heads.filter((job) => isKnown(job) && keys.some(({ id }) => id === job.keyId)),
    running: running.filter(isKnown),
    finished: finished.filter(isKnown),
  };
}

/** Jobs that were accepted from a sequence number on and have not ended, in order. */
export async function readAccepted(sql: TransactionSql, sequence: number, limit: number): Promise<QueuedJob[]> {
  const jobs = await sql<QueuedJob[]>`
    select id, key_id as "keyId", model, model_version as version, sequence, priority, work, ${workSettings(sql)} as settings
    from jobs where sequence >= ${sequence} and state in ('queued', 'running') order by sequence limit ${limit}`;
  return jobs.filter(isKnown);
}

/** Whether this release knows how long such a job takes. */
function isKnown({ settings }: { settings: WorkSettings }): boolean {
  return frameRateNames.includes(settings.frameRate);
}

/** A key that may have no jobs. */
export async function readKey(sql: TransactionSql, id: string): Promise<KeyInQueue> {
  const [[key], budgets] = await Promise.all([
    sql<[Pick<KeyInQueue, 'share' | 'concurrentJobs' | 'virtualStarts'>]>`
      select coalesce(share, 1) as share, coalesce(concurrent_jobs, 0) as "concurrentJobs",
        ${virtualStarts(sql, sql`${id}`)} as "virtualStarts"
      from (select) as nothing
      left join api_keys on api_keys.id = ${id}`,
    readBudgets(sql, sql`${id}`),
  ]);
  return { id, queued: 0, lastRank: null, ...key, budgets };
}

/** @param keys a list or a query of keys */
function readBudgets(sql: TransactionSql, keys: PendingQuery<Row[]>) {
  return sql<(BudgetLeft & { keyId: string })[]>`
    select key_id as "keyId", unit, amount - used as left, extract(epoch from resets_at - now())::float8 as "resetSeconds"
    from budget_use where key_id in (${keys})`;
}

function readKeys(sql: TransactionSql) {
  return sql<Omit<KeyInQueue, 'budgets'>[]>`
    select loads.key_id as id, queued, ${virtualStarts(sql, sql`loads.key_id`)} as "virtualStarts", coalesce(share, 1) as share,
      coalesce(concurrent_jobs, 0) as "concurrentJobs", last.rank as "lastRank"
    from key_loads as loads
    left join api_keys on api_keys.id = loads.key_id
    left join lateral (
      select sequence - 10 * priority as rank from jobs where state = 'queued' and key_id = loads.key_id
      order by sequence - 10 * priority desc, sequence desc limit 1) as last on true
    where loads.key_id in (${queuedKeys(sql)})
      or loads.key_id in (select key_id from key_loads where running > 0 limit ${maxKeys})`;
}

/** Of a key, see {@link KeyInQueue}. */
function virtualStarts(sql: ISql, keyId: Fragment) {
  return sql`(
    select coalesce(jsonb_object_agg(model || '@' || model_version, ${lag(sql, sql`null`)}), '{}')
    from fair_starts left join fair_clocks using (model, model_version) where key_id = ${keyId})`;
}

/** The keys with queued jobs that go next with any model. */
function queuedKeys(sql: ISql) {
  return sql`
    select key_id from key_loads where queued > 0
    order by coalesce((
      select min(${lag(sql, sql`null`)}) from fair_starts left join fair_clocks using (model, model_version)
      where fair_starts.key_id = key_loads.key_id), 0)
    limit ${maxKeys}`;
}

function readFinished(sql: TransactionSql) {
  return sql<FinishedJob[]>`
    select model, model_version as version, stages, ${workSettings(sql)} as settings, extract(epoch from finished_at - started_at)::float8 as seconds
    from (
      select * from jobs where finished_at is not null and deleted_at is null order by finished_at desc limit ${maxEnded}
    ) as jobs
    where state = 'succeeded' and attempt = 1 and pauses = 0
    order by finished_at desc limit ${maxFinished}`;
}

/** {@link WorkSettings} of a job. Every release has stored them under these names, except for the last. */
function workSettings(sql: ISql) {
  return sql`jsonb_build_object('width', settings->'width', 'height', settings->'height',
    'frameRate', settings->'frameRate',
    'keyframes', jsonb_build_object('steps', settings#>'{keyframes,steps}'),
    'interpolation', jsonb_build_object('steps', settings#>'{interpolation,steps}'), 'keptStages', kept_stages)
    || case when settings ? 'givenKeyframes'
      then jsonb_build_object('givenKeyframes', settings->'givenKeyframes') else '{}' end
    || case when length(settings->>'prompt') <= ${maxCharactersToSplit}
      then jsonb_build_object('prompt', settings->'prompt') else '{}' end`;
}
