import type { Sql } from 'postgres';

/** `paused`: it starts no jobs and finishes those it has. `draining`: it also wants no further calls. */
export const gatewayModes = ['active', 'paused', 'draining'] as const;
export type GatewayMode = (typeof gatewayModes)[number];

/** How long a gateway that was not stopped in order is remembered: while it is active, and while an operator has paused it. */
const rememberedFor = { active: '1 day', paused: '30 days' };

/** Records that a gateway lives; returns its mode. */
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
