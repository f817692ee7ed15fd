import type { Sql } from 'postgres';
import type { Caller } from '../../keys/caller.ts';
import type { JobModel } from '../../models/model-route.ts';
import type { JobEventKind, JobFile, JobState } from '../job.ts';
import { isJobId, sequenceIn } from './job-id.ts';
import { type JobRow, jobColumns, type StoredSnapshot } from './job-rows.ts';

/** Which jobs to list: at most `limit`, between two sequence numbers (exclusive), that match the filter. */
export interface JobPage {
  limit: number;
  before?: number | undefined;
  after?: number | undefined;
  filter?: JobFilter | undefined;
}

/** What jobs must match; absent: anything. */
export interface JobFilter {
  states?: readonly JobState[] | undefined;
  /** Id of an API key; empty: jobs without a key. */
  keyId?: string | undefined;
  /** Without a version: all versions. */
  model?: JobModel | undefined;
  /** Facts that a job's metadata must contain. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** Inclusive. */
  createdAfter?: Date | undefined;
  /** Exclusive. */
  createdBefore?: Date | undefined;
}

/** A job that the caller may see: one of its own key, or any job for an administrator. */
export async function readJob(sql: Sql, id: string, caller: Caller): Promise<JobRow | undefined> {
  if (!isJobId(id)) {
    return undefined;
  }
  const [row] = await sql<JobRow[]>`
    select ${jobColumns(sql)} from jobs where id = ${id} and ${visible(sql, caller)}`;
  return row;
}

/** Sequence number of a job, even a deleted one; `undefined` if this caller never had such a job. */
export async function readSequence(sql: Sql, id: string, caller: Caller): Promise<number | undefined> {
  const row = await readJob(sql, id, caller);
  if (row || !isJobId(id)) {
    return row?.sequence;
  }
  const [deleted] = await sql<[{ key: Uint8Array }?]>`
    select value as key from secrets
    where name = 'job_ids' and not exists (select 1 from jobs where id = ${id} and deleted_at is null)`;
  return deleted && sequenceIn(id, deleted.key);
}

/** Newest first. If more than a page match: those nearest to `after` when only that is given, else the newest. */
export async function listJobs(sql: Sql, page: JobPage, caller: Caller): Promise<JobRow[]> {
  const { limit, before, after, filter = {} } = page;
  const fromOldest = after !== undefined && before === undefined;
  const rows = await sql<JobRow[]>`
    select ${jobColumns(sql)} from jobs
    where ${visible(sql, caller)}
      ${before === undefined ? sql`` : sql`and sequence < ${before}`}
      ${after === undefined ? sql`` : sql`and sequence > ${after}`}
      ${matching(sql, filter)}
    order by sequence ${fromOldest ? sql`asc` : sql`desc`} limit ${limit}`;
  return fromOldest ? [...rows].reverse() : [...rows];
}

function matching(sql: Sql, { states, keyId, model, metadata, createdAfter, createdBefore }: JobFilter) {
  return sql`
    ${states ? sql`and state = any(${states as string[]})` : sql``}
    ${keyId === undefined ? sql`` : sql`and key_id = ${keyId}`}
    ${model ? sql`and model = ${model.model}` : sql``}
    ${model && model.version !== '' ? sql`and model_version = ${model.version}` : sql``}
    ${/* The second condition is that of the index. */ metadata ? sql`and metadata @> ${sql.json(metadata)} and metadata <> '{}'` : sql``}
    ${createdAfter ? sql`and created_at >= ${createdAfter}` : sql``}
    ${createdBefore ? sql`and created_at < ${createdBefore}` : sql``}`;
}

export function visible(sql: Sql, { keyId, scopes }: Caller) {
  return scopes.includes('admin') ? sql`deleted_at is null` : sql`deleted_at is null and key_id = ${keyId}`;
}

/** A stored event, and the times from its job's row. */
export interface EventRow {
  number: number;
  at: Date;
  kind: JobEventKind;
  snapshot: StoredSnapshot;
  startedAt: Date | null;
  finishedAt: Date | null;
}

/** The next events of a job in order, at most `limit`. */
export async function readEvents(sql: Sql, id: string, after: number, limit: number): Promise<EventRow[]> {
  return sql<EventRow[]>`
    select events.number, events.at, events.kind, events.snapshot,
      jobs.started_at as "startedAt", jobs.finished_at as "finishedAt"
    from job_events as events join jobs on jobs.id = events.job_id
    where events.job_id = ${id} and events.number > ${after} and jobs.deleted_at is null
    order by events.number limit ${limit}`;
}

/** Numbers of the last events of some jobs; deleted jobs are absent. */
export async function readRevisions(sql: Sql, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await sql<{ id: string; revision: number }[]>`
    select id, revision from jobs where id = any(${ids as string[]}) and deleted_at is null`;
  return new Map(rows.map(({ id, revision }) => [id, revision]));
}

/** A frame's file; `undefined` when there is none. */
export async function readFrameFile(sql: Sql, id: string, frame: number) {
  const [row] = await sql<[{ file: JobFile | null }?]>`
    select frame_files -> ${frame}::int as file from jobs where id = ${id}`;
  return row?.file ?? undefined;
}
