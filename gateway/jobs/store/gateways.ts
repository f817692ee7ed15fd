import type { ISql, Sql, TransactionSql } from 'postgres';
import { channels, notify } from './channels.ts';

/** `paused`: it starts no jobs and finishes those it has. `draining`: it also wants no further calls. */
export const gatewayModes = ['active', 'paused', 'draining'] as const;
export type GatewayMode = (typeof gatewayModes)[number];

/** A gateway that has not reported for this long has died or cannot reach the database, seconds. */
const aliveSeconds = 15;

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

/** Records that a gateway is alive; returns its mode. */
export async function noteGateway(sql: Sql, name: string, owner: string): Promise<GatewayMode> {
  const [row] = await sql<[{ mode: GatewayMode }]>`
    insert into gateways as known (name, owner) values (${name}, ${owner})
    on conflict (name) do update set seen_at = now(), owner = excluded.owner,
      started_at = case when known.owner = excluded.owner then known.started_at else now() end
    returning mode`;
  return row.mode;
}

/** Forgets a gateway that stops, unless it must remember that it is paused. */
export async function forgetGateway(sql: Sql, owner: string): Promise<void> {
  await sql`delete from gateways where owner = ${owner} and mode = 'active'`;
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

/** Changes the mode of a gateway, which applies it within seconds; `undefined` if there is no such gateway. */
export async function setGatewayMode(
  sql: TransactionSql,
  name: string,
  mode: GatewayMode,
): Promise<GatewayRow | undefined> {
  const [row] = await sql<GatewayRow[]>`
    update gateways set mode = ${mode}, mode_since = case when mode = ${mode} then mode_since else now() end
    where name = ${name} returning ${columns(sql)}`;
  await notify(sql, channels.gateways);
  return row;
}

function columns(sql: ISql) {
  return sql`
    name, mode, mode_since as "modeSince", started_at as "startedAt", seen_at as "seenAt",
    seen_at > now() - ${aliveSeconds}::float8 * interval '1 second' as "isAlive",
    (select count(*)::int from jobs where state = 'running' and jobs.owner = gateways.owner) as running`;
}
