import type { Sql } from 'postgres';
import type { StoredResult } from './leases.ts';

/** Results removed per round. */
const batch = 50;

/** Which results of finished videos are kept for other videos with the same content. */
export interface KeptResultsBounds {
  /** How long after their last use; 0: none are kept. */
  keepResultsSeconds: number;
  /** Size of all of them in bytes; beyond it, those that were used least recently are removed. */
  keepResultsBytes: number;
}

export interface KeptResult extends Pick<StoredResult, 'key'> {
  job: string;
  stage: string;
}

/** Finds a result by its content among those of the same API key, and notes its use. */
export async function findKeptResult(sql: Sql, keyId: string, content: string): Promise<StoredResult | undefined> {
  const [found] = await sql<StoredResult[]>`
    update job_results set used_at = now() where (job_id, stage) = (
      select job_id, stage from job_results join jobs on jobs.id = job_id
      where content = ${content} and used_at is not null and key_id = ${keyId} and deleted_at is null
      order by used_at desc limit 1)
    returning object_key as key, bytes, sha256`;
  return found;
}

/** Names of the results of a job that are kept for other videos of its key. */
export async function readKeptResults(sql: Sql, keyId: string, job: string): Promise<string[]> {
  const rows = await sql<{ stage: string }[]>`
    select stage from job_results join jobs on jobs.id = job_id
    where job_id = ${job} and used_at is not null and key_id = ${keyId} and deleted_at is null`;
  return rows.map(({ stage }) => stage);
}

/** Results of finished videos beyond the bounds. */
export function surplusResults(
  sql: Sql,
  { keepResultsSeconds, keepResultsBytes }: KeptResultsBounds,
): Promise<KeptResult[]> {
  return sql<KeptResult[]>`
    select job_id as job, stage, object_key as key from (
      select job_id, stage, object_key, used_at, sum(bytes) over (order by used_at desc, job_id, stage) as total
      from job_results join jobs on jobs.id = job_id where used_at is not null and state = 'succeeded'
    ) as kept
    where total > ${keepResultsBytes}::bigint or used_at < now() - ${keepResultsSeconds}::float8 * interval '1 second'
    limit ${batch}`;
}

/** Forgets a result whose object was removed. */
export async function forgetResult(sql: Sql, { job, stage, key }: KeptResult): Promise<void> {
  await sql`delete from job_results where job_id = ${job} and stage = ${stage} and object_key = ${key}`;
}
