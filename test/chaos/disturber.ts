import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/cli.ts';
import { type Fleet, type ProcessKind, serviceKinds } from '../support/fleet.ts';
import { causeFault } from './faults.ts';

const kinds: readonly ProcessKind[] = [...serviceKinds, 'postgres'];

/** Share of the disturbances that are kills; the others are faults. */
const killShare = 0.4;

/**
 * Steps and frames of all jobs between two disturbances, at least and at most. Not seconds: on a slow machine nothing would
 * ever be finished in between.
 */
const betweenDisturbances = [4, 24] as const;
/** Where nothing moves on, the next one comes after so many seconds anyway. */
const longestQuiet = 20;
/** Seconds between a kill and the restart, at least and at most. */
const beforeRestart = [0, 1] as const;

/** What disturbances are drawn from. */
export interface Draws {
  /** At least 0, less than 1. */
  random: () => number;
  /** Names of the faults, at least one. */
  faults: readonly string[];
}

/** What was done to a fleet. */
export interface Disturbances {
  kills: ReadonlyMap<string, number>;
  faults: ReadonlyMap<string, number>;
  /** For every gateway that was killed with jobs in its hands: how long until none of them was left there, seconds. */
  adoptions: readonly number[];
}

/**
 * Until `over` aborts, one after the other, kills a process with SIGKILL and starts it again, or causes a fault. Adoptions
 * that are still awaited end with `deadline`.
 */
export async function disturbUntil(
  fleet: Fleet,
  { random, faults: names }: Draws,
  { over, deadline }: { over: AbortSignal; deadline: AbortSignal },
): Promise<Disturbances> {
  const kills = new Map<string, number>();
  const faults = new Map<string, number>();
  const adoptions: Promise<number>[] = [];
  const between = ([least, most]: readonly [number, number]) => least + (most - least) * random();
  while (!over.aborted) {
    await untilProgress(fleet, between(betweenDisturbances), over);
    if (over.aborted) {
      break;
    }
    if (random() >= killShare) {
      count(faults, await causeFault(fleet, names, random));
      continue;
    }
    const kind = kinds[Math.floor(random() * kinds.length)]!;
    const index = Math.floor(random() * fleet.count(kind));
    const owner = kind === 'gateway' ? await fleet.ownerName(index).catch(() => undefined) : undefined;
    if (!(await fleet.kill(kind, index))) {
      continue;
    }
    count(kills, kind);
    if (owner !== undefined) {
      adoptions.push(untilNothingIsOwned(fleet, owner, deadline));
    }
    // A started process always comes back: what is killed stays dead only for a while.
    await pause(between(beforeRestart) * 1000);
    await fleet.restart(kind, index);
  }
  return { kills, faults, adoptions: await Promise.all(adoptions) };
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function untilProgress({ database }: Fleet, steps: number, over: AbortSignal): Promise<void> {
  const started = performance.now();
  let first: number | undefined;
  await eventually(async () => {
    const [row] = await database.sql<[{ count: number }]>`
      select count(*) as count from job_events where kind = 'progress'`.catch(() => []);
    first ??= row?.count;
    const progress = row && first !== undefined ? row.count - first : 0;
    return over.aborted || progress >= steps || performance.now() - started > longestQuiet * 1000;
  });
}

async function untilNothingIsOwned({ database }: Fleet, owner: string, deadline: AbortSignal): Promise<number> {
  const killed = performance.now();
  await eventually(async () => {
    // The database may be killed meanwhile.
    const rows = await database.sql`select 1 from jobs where owner = ${owner} limit 1`.catch(() => undefined);
    return deadline.aborted || rows?.length === 0;
  });
  return (performance.now() - killed) / 1000;
}
