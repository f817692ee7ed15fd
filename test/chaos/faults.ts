import { setTimeout as pause } from 'node:timers/promises';
import type { Sql } from 'postgres';
import type { Fleet } from '../support/fleet.ts';
import type { LinkKind } from '../support/network.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

/** How long a fault that passes lasts, seconds, at least and at most. */
const duration = [1, 8] as const;

/** Milliseconds by which a slow link delays every piece, at least and at most. */
const delay = [20, 400] as const;

/** Share of the objects that a lying bucket damages or forgets. */
const lieShare = 0.3;

type Between = (range: readonly [number, number]) => number;

/** What is done to a link. */
const linkFaults: Readonly<Record<string, (link: TcpProxy, between: Between) => Promise<void> | void>> = {
  // Connections that the network forgot: they stay open and silent for good.
  forgotten: (link) => link.silenceOpen(),
  async silent(link, between) {
    link.silence();
    await pause(between(duration) * 1000);
    link.pass();
  },
  async slow(link, between) {
    link.delay(between(delay));
    await pause(between(duration) * 1000);
    link.delay(0);
  },
  reset: (link) => link.reset(),
  'half-closed': (link) => link.halfClose(),
};

/** Causes one fault, and ends it if it passes; gives its name. The fleet has a network. */
export async function causeFault({ network, database }: Fleet, random: () => number): Promise<string> {
  const between: Between = ([least, most]) => least + (most - least) * random();
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)]!;
  const kinds: readonly (LinkKind | 'clock' | 'lies')[] = [...network!.links.keys(), 'clock', 'lies'];
  const kind = pick(kinds);
  if (kind === 'clock') {
    const hours = pick([-1, 1]);
    // PostgreSQL may be dead just now: then its clock is left alone.
    await setClock(database.sql, hours).catch(() => {});
    return hours < 0 ? 'clock back' : 'clock forward';
  }
  if (kind === 'lies') {
    const { lies } = network!.bucket;
    lies.keep = (_, body) => (random() < lieShare ? (random() < 0.5 ? undefined : damaged(body)) : body);
    await pause(between(duration) * 1000);
    lies.keep = (_, body) => body;
    return 'lying bucket';
  }
  const fault = pick(Object.keys(linkFaults));
  await linkFaults[fault]!(pick(network!.links.get(kind)!), between);
  return `${kind} ${fault}`;
}

/**
 * Has every time that the gateways wait for lie as far off as if PostgreSQL's clock had been set by so many hours: the
 * clock itself is the machine's.
 */
async function setClock(sql: Sql, hours: number): Promise<void> {
  const shift = sql`${-hours} * interval '1 hour'`;
  await sql`update jobs set lease_until = lease_until + ${shift} where lease_until is not null`;
  await sql`update request_rates set refilled_at = refilled_at + ${shift}`;
}

function damaged(body: Buffer): Buffer {
  const other = Buffer.from(body);
  if (other.length > 0) {
    other[other.length >> 1]! ^= 1;
  }
  return other;
}
