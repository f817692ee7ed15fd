import type { Sql } from 'postgres';
import type { Models } from '../models/models.ts';
import { readModelLoads } from './store/served-models.ts';

/** Measurements of the jobs across gateways, by state. Takes constant time, however many jobs there are. */
export async function jobsByState(sql: Sql) {
  const [loads] = await sql<[Record<'queued' | 'running' | 'paused', number>]>`
    select queued - paused as queued, running, paused from
      (select coalesce(sum(queued), 0)::int as queued, coalesce(sum(running), 0)::int as running from key_loads) as loads,
      (select count(*)::int as paused from jobs where state = 'queued' and started_at is not null) as pauses`;
  return (['queued', 'running', 'paused'] as const).map((state) => ({
    value: loads[state],
    attributes: { 'fusionframes.job.state': state },
  }));
}

/** The same for each model and version. */
export async function jobsByModel({ sql, models }: { sql: Sql; models: Models }) {
  return [...(await readModelLoads(sql, models))].flatMap(([id, load]) =>
    (['queued', 'running'] as const).map((state) => ({
      value: load[state],
      attributes: { 'fusionframes.job.model': id, 'fusionframes.job.state': state },
    })),
  );
}
