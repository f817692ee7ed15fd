import type { Sql } from 'postgres';
import { anonymous, type Caller } from '../../keys/caller.ts';
import { withData } from '../../testing/data.ts';
import { newJob } from '../../testing/new-job.ts';
import type { JobFailure } from '../job.ts';
import { createJob, type StorableJob } from './create-job.ts';
import { JobLedger } from './job-ledger.ts';
import { type ClaimedJob, claimJob } from './leases.ts';

const forever = new AbortController().signal;

/** Runs `use` on a fresh database. */
export const withSql = (use: (sql: Sql) => Promise<void>) => withData(({ database }) => use(database.sql));

export async function create(sql: Sql, job: Partial<StorableJob> = {}, caller: Caller = anonymous): Promise<string> {
  return (await createJob(sql, { ...newJob, ...job }, caller, 1000)).row.id;
}

export function claim(sql: Sql, owner = 'me'): Promise<ClaimedJob | undefined> {
  return claimJob(sql, { owner, running: [], models: [newJob], take: 'waiting' });
}

export function adopt(sql: Sql, owner: string, running: string[] = []): Promise<ClaimedJob | undefined> {
  return claimJob(sql, { owner, running, models: [newJob], take: 'silent' });
}

export async function claimed(sql: Sql, owner = 'me'): Promise<ClaimedJob> {
  return (await claim(sql, owner)) as ClaimedJob;
}

export function ledgerOf(sql: Sql, job: ClaimedJob, owner = 'me', onLost = () => {}): JobLedger {
  return new JobLedger({ sql, claimed: job, owner, signal: forever, vitals: { writingSince: undefined }, onLost });
}

/** As when its owner has been silent for too long. */
export function expireLease(sql: Sql, id: string) {
  return sql`update jobs set lease_until = now() - interval '1 second' where id = ${id}`;
}

export async function addKey(
  sql: Sql,
  id: string,
  limits: { concurrentJobs?: number; queuedJobs?: number },
): Promise<Caller> {
  const { concurrentJobs = 0, queuedJobs = 0 } = limits;
  await sql`
    insert into api_keys (id, name, secret_hash, scopes, concurrent_jobs, queued_jobs)
    values (${id}, ${id}, ${Buffer.from('')}, ${['create', 'read']}, ${concurrentJobs}, ${queuedJobs})`;
  return { keyId: id, scopes: ['create', 'read'], limits: { concurrentJobs, queuedJobs, requestsPerMinute: 0 } };
}

export const stage = (step: number) => ({ stage: 'keyframes' as const, step, total: 9, seconds: 0.5 });
export const failure: JobFailure = { code: 'INTERNAL', reason: 'PREDICTION_NOT_FINITE', message: 'NaN', attempt: 1 };
export const file = { key: 'k', mediaType: 'video/mp4', bytes: 7, sha256: 'ab' };
