import type { PendingQuery, Row, Sql } from 'postgres';
import type { UsageGroup, UsageGroupName } from '../../../services/pipeline/usage-groups.ts';
import type { Caller } from '../../keys/caller.ts';

/** Which usage to sum: of jobs that ended at or after `from` and before `to`. */
export interface UsageQuery {
  groupBy: UsageGroupName;
  from: Date;
  to: Date;
  /** Only groups after this one. */
  after: string | undefined;
  limit: number;
}

/** In order of the groups' names. A caller gets the usage of its own key; an administrator that of all keys. */
export async function readUsage(sql: Sql, query: UsageQuery, caller: Caller): Promise<UsageGroup[]> {
  const { groupBy, from, to, after, limit } = query;
  const group = groupColumn(sql, groupBy);
  const isVisible = caller.scopes.includes('admin') ? sql`true` : sql`key_id = ${caller.keyId}`;
  const matching = sql`
    select ${group} as "group", usage.* from usage
    where ${isVisible} and ended_at >= ${from} and ended_at < ${to}
      ${after === undefined ? sql`` : sql`and ${group} collate "C" > ${after}`}`;
  const rows = await sql<UsageGroup[]>`
    with matching as (${matching}),
    sums as (
      select "group",
        ${groupBy === 'key' ? sql`(array_agg(key_name order by ended_at desc))[1]` : sql`''`} as name,
        count(*) filter (where outcome = 'succeeded')::int as succeeded,
        count(*) filter (where outcome = 'failed')::int as failed,
        count(*) filter (where outcome = 'cancelled')::int as cancelled,
        sum(frames)::float8 as frames, sum(pixels)::float8 as pixels, round(sum(seconds)::numeric, 6)::float8 as seconds,
        sum(reused_stages)::float8 as "reusedStages"
      from matching group by "group" order by "group" collate "C" limit ${limit}
    ),
    of_stages as (
      select "group", key as stage, round(sum(value::float8)::numeric, 6)::float8 as seconds
      from matching join sums using ("group") cross join lateral jsonb_each_text(stage_seconds)
      group by "group", key
    )
    select sums.*, coalesce(
      (select jsonb_object_agg(stage, seconds) from of_stages where of_stages."group" = sums."group"), '{}'
    ) as "stageSeconds"
    from sums order by "group" collate "C"`;
  return [...rows];
}

function groupColumn(sql: Sql, groupBy: UsageGroupName): PendingQuery<Row[]> {
  switch (groupBy) {
    case 'key':
      return sql`usage.key_id`;
    case 'preset':
      return sql`usage.model`;
    case 'day':
      return sql`to_char(usage.ended_at at time zone 'UTC', 'YYYY-MM-DD')`;
  }
}
