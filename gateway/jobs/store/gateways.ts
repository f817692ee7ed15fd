import type { Fragment, ISql, Sql, TransactionSql } from 'postgres';
import { channels, notify } from './channels.ts';

/** `paused`: it starts no jobs and finishes those it has. `draining`: it also wants no further calls. */
export const gatewayModes = ['active', 'paused', 'draining'] as const;
export type GatewayMode = (typeof gatewayModes)[number];

/** A gateway that has not reported for this long has died or cannot reach the database, seconds. */
const aliveSeconds = 15;

/** After this long another process may have its name, seconds: longer than between two reports. */
const nameSeconds = 8;

const maxListed = 500;

/** A gateway on this database. */
export interface GatewayRow {
  name: string;
  mode: GatewayMode;
  /** Since when it is in this mode. */
  modeSince: Date;
  startedAt: Date;
  /** When it last reported, to 5 s. */
  seenAt: Date;
  isAlive: boolean;
  /** Number of jobs that it works on. */
  running: number;
}

/**
 * How long a gateway that was not stopped properly is remembered: if it was active, and if an operator had paused it.
 */
const rememberedFor = { active: '1 day', paused: '30 days' };

/** Another process that reported under the same name a moment ago. */
export interface NameHolder {
  owner: string;
  /** When it last reported, seconds since 1970. */
  seenAt: number;
}

export interface NotedGateway {
  mode: GatewayMode;
  /** Set if it has the name: then nothing was recorded. It may be alive, or a predecessor that crashed. */
  holder: NameHolder | undefined;
}

/**
 * Records that a gateway is alive, unless another process has the name.
 *
 * @param places jobs of each model and version that it runs at once
 */
export async function noteGateway(sql: Sql, name: string, owner: string, places: number): Promise<NotedGateway> {
  const [noted] = await sql<[{ mode: GatewayMode }?]>`
    insert into gateways as known (name, owner, places) values (${name}, ${owner}, ${places})
    on conflict (name) do update set seen_at = now(), owner = excluded.owner, places = excluded.places,
      started_at = case when known.owner = excluded.owner then known.started_at else now() end
      -- A time in the future is from before the clock was set back.
      where known.owner in (excluded.owner, '')
        or abs(extract(epoch from now() - known.seen_at)) > ${nameSeconds}::float8
    returning mode`;
  if (noted) {
    return { ...noted, holder: undefined };
  }
  const [held] = await sql<[(NameHolder & { mode: GatewayMode })?]>`
    select mode, owner, extract(epoch from seen_at)::float8 as "seenAt" from gateways where name = ${name}`;
  const { mode = 'active', ...holder } = held ?? {};
  return { mode, holder: held && (holder as NameHolder) };
}

/** Frees the name of a gateway that stops, and forgets it unless it must remember that it is paused. */
export async function forgetGateway(sql: Sql, owner: string): Promise<void> {
  await sql`
    with stopped as (delete from gateways where owner = ${owner} and mode = 'active')
    update gateways set owner = '' where owner = ${owner} and mode <> 'active'`;
}

/** Forgets gateways that have been silent for long. */
export async function removeOldGateways(sql: Sql): Promise<void> {
  await sql`
    delete from gateways where seen_at < now() - (case mode when 'active' then ${rememberedFor.active}
      else ${rememberedFor.paused} end)::interval`;
}

/** By name; live ones first. */
export async function listGateways(sql: Sql): Promise<GatewayRow[]> {
  return sql<GatewayRow[]>`
    select ${columns(sql)} from gateways order by "isAlive" desc, name limit ${maxListed}`;
}

/**
 * Changes the mode of a gateway, which applies it within seconds; returns the gateway and its mode before. `undefined` if
 * there is no such gateway.
 */
export async function setGatewayMode(
  sql: TransactionSql,
  name: string,
  mode: GatewayMode,
): Promise<(GatewayRow & { before: GatewayMode }) | undefined> {
  const [row] = await sql<(GatewayRow & { before: GatewayMode })[]>`
    update gateways set mode = ${mode}, mode_since = case when mode = ${mode} then mode_since else now() end
    from (select mode as before from gateways where name = ${name} for update) as earlier
    where name = ${name} returning before, ${columns(sql)}`;
  await notify(sql, channels.gateways);
  return row;
}

/**
 * Jobs of each model and version that all active gateways run at once; 0 if operators have paused all.
 *
 * @param usual of a gateway that has not reported how many it has
 */
export async function readPlaces(sql: ISql, usual: number): Promise<number> {
  const [{ alive, places }] = await sql<[{ alive: number; places: number }]>`
    select count(*)::int as alive,
      coalesce(sum(coalesce(places, ${usual}::int)) filter (where mode = 'active'), 0)::int as places
    from gateways where ${isAlive(sql)}`;
  // None is alive if even this one could not report in time.
  return alive === 0 ? usual : places;
}

/** Whether an owner of jobs is an active gateway. */
export function isActive(sql: ISql, owner: Fragment) {
  return sql`exists (select from gateways where gateways.owner = ${owner} and mode = 'active' and ${isAlive(sql)})`;
}

function isAlive(sql: ISql) {
  return sql`seen_at > now() - ${aliveSeconds}::float8 * interval '1 second'`;
}

function columns(sql: ISql) {
  return sql`
    name, mode, mode_since as "modeSince", started_at as "startedAt", seen_at as "seenAt",
    ${isAlive(sql)} as "isAlive",
    (select count(*)::int from jobs where state = 'running' and jobs.owner = gateways.owner) as running`;
}
