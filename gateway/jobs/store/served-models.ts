import type { Sql } from 'postgres';
import { type JobModel, modelId, routeId } from '../../models/model-route.ts';
import type { Models } from '../../models/models.ts';

/** Records that this gateway serves these models. */
export async function noteServed(sql: Sql, models: readonly JobModel[]): Promise<void> {
  const { names, versions } = columns(models);
  // In order, so that gateways do not deadlock.
  await sql`
    insert into model_routes (model, version, served_at)
    select model, version, now() from unnest(${names}::text[], ${versions}::text[]) as served (model, version)
    order by model, version
    on conflict (model, version) do update set served_at = now()`;
}

/** Number of queued and running jobs. */
export interface ModelLoad {
  queued: number;
  running: number;
}

/** Jobs of each model and version, by id; zeros for those that have none. Reads an index entry per job. */
export async function readModelLoads(sql: Sql, models: Models): Promise<ReadonlyMap<string, ModelLoad>> {
  const rows = await sql<(JobModel & ModelLoad)[]>`
    select model, version, sum(queued)::int as queued, sum(running)::int as running from (
      select model, model_version as version, count(*) as queued, 0 as running from jobs where state = 'queued' group by 1, 2
      union all
      select model, model_version as version, 0, count(*) from jobs where state = 'running' group by 1, 2) as loads
    group by 1, 2`;
  const loads = new Map<string, ModelLoad>(models.routes.map((route) => [routeId(route), { queued: 0, running: 0 }]));
  for (const { queued, running, ...model } of rows) {
    const route = models.routeOf(model);
    const id = route ? routeId(route) : modelId(model);
    const others = loads.get(id);
    loads.set(id, { queued: queued + (others?.queued ?? 0), running: running + (others?.running ?? 0) });
  }
  return loads;
}

/** Models as parameters of a statement, for `unnest`. */
export function columns(models: readonly JobModel[]): { names: string[]; versions: string[] } {
  return { names: models.map(({ model }) => model), versions: models.map(({ version }) => version) };
}
