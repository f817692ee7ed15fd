import type { Sql } from 'postgres';
import type { UsedBudget } from '../keys/budget.ts';

/** A key with queued or running jobs; empty id: jobs without a key. */
export interface KeyInLine {
  keyId: string;
  name: string;
  share: number;
  queued: number;
  running: number;
  /** When the first of the queued jobs was created. */
  oldestAt: Date | null;
  /** Why none of its queued jobs starts, whatever room there is. */
  heldBy: 'concurrent_jobs' | 'budget' | null;
}

const maxLines = 500;

/** The keys with jobs, most queued jobs first. */
export async function readLines(sql: Sql): Promise<KeyInLine[]> {
  return sql<KeyInLine[]>`
    select loads.key_id as "keyId", coalesce(name, '') as name, coalesce(share, 1) as share, queued, running,
      (select created_at from jobs
        where state = 'queued' and key_id = loads.key_id and deleted_at is null order by sequence limit 1) as "oldestAt",
      case when queued = 0 then null
        when concurrent_jobs > 0 and running >= concurrent_jobs then 'concurrent_jobs'
        when exists (select 1 from budget_use where key_id = loads.key_id and used >= amount) then 'budget' end as "heldBy"
    from key_loads as loads left join api_keys on api_keys.id = loads.key_id
    where queued > 0 or running > 0 order by queued desc, running desc, loads.key_id limit ${maxLines}`;
}

/** What a key uses now. */
export interface KeyUse {
  queued: number;
  running: number;
  /** With queued and running jobs counted as videos, as when new jobs are accepted. */
  budgets: UsedBudget[];
}

/** What these keys use, by id. */
export async function readKeyUse(sql: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, KeyUse>> {
  const [loads, budgets] = await Promise.all([
    sql<{ id: string; queued: number; running: number }[]>`
      select key_id as id, queued, running from key_loads where key_id = any(${ids as string[]})`,
    sql<(UsedBudget & { id: string })[]>`
      select key_id as id, amount, unit, period, resets_at as "resetsAt",
        used + case unit when 'videos' then coalesce(queued + running, 0) else 0 end as used
      from budget_use left join key_loads using (key_id) where key_id = any(${ids as string[]})`,
  ]);
  const loadOf = new Map(loads.map(({ id, ...load }) => [id, load]));
  return new Map(
    ids.map((id) => [
      id,
      { ...(loadOf.get(id) ?? { queued: 0, running: 0 }), budgets: budgets.filter((budget) => budget.id === id) },
    ]),
  );
}

/** Details of a job that only operators see. */
export interface JobFacts {
  id: string;
  keyName: string;
  /** The gateway that works on it; null: none, or it is unknown. */
  gateway: string | null;
  /** When anything last changed. */
  changedAt: Date;
  /** The operator who last set its priority: id of the key (empty: none), and the priority before. */
  priorityBy: { keyId: string; before: number } | null;
}

export async function readJobFacts(sql: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, JobFacts>> {
  const rows = await sql<JobFacts[]>`
    select jobs.id, coalesce(api_keys.name, '') as "keyName", gateways.name as gateway,
      coalesce(events.at, jobs.created_at) as "changedAt",
      (select jsonb_build_object('keyId', key_id, 'before', details->'before') from operator_actions
        where target = jobs.id and action = 'video.priority' order by number desc limit 1) as "priorityBy"
    from jobs
    left join api_keys on api_keys.id = jobs.key_id
    left join gateways on gateways.owner = jobs.owner
    left join job_events as events on events.job_id = jobs.id and events.number = jobs.revision
    where jobs.id = any(${ids as string[]})`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** Jobs that failed for one reason with one model. */
export interface FailureGroup {
  /** Such as PREDICTION_NOT_FINITE. */
  reason: string;
  model: string;
  count: number;
  /** Of how many keys. */
  keys: number;
  /** The latest one. */
  lastAt: Date;
  lastJob: string;
  /** Its stage and message; null if it has been deleted or no stage had started. */
  stage: string | null;
  message: string | null;
}

/** Failures of jobs that ended at or after `from` and before `to`, the most frequent first. */
export async function readFailures(sql: Sql, from: Date, to: Date, limit: number): Promise<FailureGroup[]> {
  return sql<FailureGroup[]>`
    select groups.*, failure->>'stage' as stage, failure->>'reason' as message
    from (
      select reason, model, count(*)::int as count, count(distinct key_id)::int as keys, max(ended_at) as "lastAt",
        (array_agg(job_id order by ended_at desc))[1] as "lastJob"
      from usage where outcome = 'failed' and ended_at >= ${from} and ended_at < ${to}
      group by reason, model order by count desc, reason, model limit ${limit}
    ) as groups
    left join jobs on jobs.id = groups."lastJob" and deleted_at is null
    order by count desc, groups.reason, groups.model`;
}
