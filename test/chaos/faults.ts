import { setTimeout as pause } from 'node:timers/promises';
import type { Sql } from 'postgres';
import type { Fleet } from '../support/fleet.ts';
import { linkKinds, type Network } from '../support/network.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

/** Minimum and maximum duration of a temporary fault, in seconds. */
const duration = [1, 8] as const;

/** Minimum and maximum delay per chunk on a slow link, in milliseconds. */
const delay = [20, 400] as const;

/** Share of objects that a lying bucket damages or loses. */
const lieShare = 0.3;

/** The target and kind of a fault. */
interface Circumstances {
  network: Network;
  sql: Sql;
  random: () => number;
  between(range: readonly [number, number]): number;
}

type Fault = (circumstances: Circumstances) => Promise<void> | void;

/** The faults of a link. */
const linkFaults: Readonly<Record<string, (link: TcpProxy, circumstances: Circumstances) => Promise<void> | void>> = {
  // The network dropped the flow: the connections stay open and silent for good.
  forgotten: (link) => link.silenceOpen(),
  async silent(link, { between }) {
    link.silence();
    await pause(between(duration) * 1000);
    link.pass();
  },
  async slow(link, { between }) {
    link.delay(between(delay));
    await pause(between(duration) * 1000);
    link.delay(0);
  },
  reset: (link) => link.reset(),
  'half-closed': (link) => link.halfClose(),
};

export const linkFaultNames: readonly string[] = Object.keys(linkFaults);

/** All faults by name, grouped by target. */
const groups: readonly Readonly<Record<string, Fault>>[] = [
  ...linkKinds.map((kind) =>
    Object.fromEntries(
      Object.entries(linkFaults).map(([name, strike]): [string, Fault] => [
        `${kind} ${name}`,
        (circumstances) => {
          const links = circumstances.network.links.get(kind)!;
          return strike(pick(links, circumstances.random), circumstances);
        },
      ]),
    ),
  ),
  { 'clock back': ({ sql }) => setClock(sql, -1), 'clock forward': ({ sql }) => setClock(sql, 1) },
  {
    async 'bucket lies when written'({ network: { bucket }, random, between }) {
      const { lies } = bucket;
      lies.keep = (_, body) => (random() < lieShare ? (random() < 0.5 ? undefined : damaged(body)) : body);
      await pause(between(duration) * 1000);
      lies.keep = (_, body) => body;
    },
    async 'bucket lies when read'({ network: { bucket }, random, between }) {
      const { lies } = bucket;
      const shortened = (body: Buffer) => body.subarray(0, Math.floor(body.length * random()));
      lies.give = (_, body) => (random() < lieShare ? (random() < 0.5 ? shortened(body) : damaged(body)) : body);
      await pause(between(duration) * 1000);
      lies.give = (_, body) => body;
    },
  },
];

/** Names of the faults that contain one of the words; without words, all. */
export function faultsWith(words: readonly string[]): string[] {
  const names = groups.flatMap((group) => Object.keys(group));
  return words.length === 0 ? names : names.filter((name) => words.some((word) => name.includes(word)));
}

/** Causes one of the faults, each target equally often; ends it if it is temporary, and returns its name. */
export async function causeFault(
  { network, database }: Fleet,
  names: readonly string[],
  random: () => number,
): Promise<string> {
  const chosen = groups
    .map((group) => Object.entries(group).filter(([name]) => names.includes(name)))
    .filter((group) => group.length > 0);
  const [name, cause] = pick(pick(chosen, random), random);
  await cause({ network: network!, sql: database.sql, random, between: (range) => drawFrom(range, random) });
  return name;
}

/** A number of a range. */
export function drawFrom([min, max]: readonly [number, number], random: () => number): number {
  return min + (max - min) * random();
}

function pick<T>(all: readonly T[], random: () => number): T {
  return all[Math.floor(random() * all.length)]!;
}

/** How long shifting the times waits for a table, and how often it is tried; gateways must not get into deadlocks with it. */
const lockMilliseconds = 300;
const maxShifts = 20;

/**
 * Shifts every stored time, as if PostgreSQL's clock had been set by this many hours: the clock itself is the machine's.
 */
async function setClock(sql: Sql, hours: number): Promise<void> {
  const times = await timeColumns(sql).catch(() => []);
  for (let shift = 1; times.length > 0 && shift <= maxShifts; shift++) {
    const shifted = await sql
      .begin(async (transaction) => {
        await transaction.unsafe(`set local lock_timeout = ${lockMilliseconds}`);
        await transaction.unsafe(
          `lock table ${times.map(({ table }) => table).join(', ')} in share row exclusive mode`,
        );
        for (const { table, columns } of times) {
          const changes = columns.map((column) => `${column} = ${column} - interval '${hours} hours'`);
          await transaction.unsafe(`update ${table} set ${changes.join(', ')}`);
        }
        return true;
      })
      // PostgreSQL may be dead just now, or a table in use.
      .catch(() => false);
    if (shifted) {
      return;
    }
    await pause(lockMilliseconds);
  }
}

/** Every column with a time, except in rows that never change. */
function timeColumns(sql: Sql) {
  return sql<{ table: string; columns: string[] }[]>`
    select table_name as table, array_agg(column_name::text) as columns from information_schema.columns
    where table_schema = 'public' and data_type = 'timestamp with time zone'
      and table_name in (select tablename from pg_tables where schemaname = 'public')
      and table_name not in ('usage', 'schema_migrations')
    group by table_name order by table_name`;
}

function damaged(body: Buffer): Buffer {
  const other = Buffer.from(body);
  if (other.length > 0) {
    other[other.length >> 1]! ^= 1;
  }
  return other;
}
