import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/cli.ts';
import { type Fleet, type ProcessKind, serviceKinds } from '../support/fleet.ts';
import { causeFault, drawFrom } from './faults.ts';

const kinds: readonly ProcessKind[] = [...serviceKinds, 'postgres'];

/** Share of kills among the disturbances; the rest are faults. */
const killShare = 0.4;

/**
 * Minimum and maximum number of steps and frames, over all jobs, between two disturbances. Not seconds: on a slow
 * machine nothing would ever finish in between.
 */
const betweenDisturbances = [4, 24] as const;
/** Maximum seconds until the next disturbance when nothing makes progress. */
const longestQuiet = 20;
/** Minimum and maximum seconds between a kill and the restart. */
const beforeRestart = [0, 1] as const;

/** Source of the disturbances. */
export interface Draws {
  /** At least 0, less than 1. */
  random: () => number;
  /** Names of the faults, at least one. */
  faults: readonly string[];
}

/** The disturbances of a fleet. */
export interface Disturbances {
  kills: ReadonlyMap<string, number>;
  faults: ReadonlyMap<string, number>;
  /** For every gateway killed while it had jobs: seconds until all of them were adopted. */
  adoptions: readonly number[];
}

/**
 * Until `over` aborts, repeatedly kills a process with SIGKILL and restarts it, or causes a fault. Pending adoptions
 * are awaited until `deadline`.
 */
export async function disturbUntil(
  fleet: Fleet,
  { random, faults: names }: Draws,
  { over, deadline }: { over: AbortSignal; deadline: AbortSignal },
): Promise<Disturbances> {
  const kills = new Map<string, number>();
  const faults = new Map<string, number>();
  const adoptions: Promise<number>[] = [];
  while (!over.aborted) {
    await untilProgress(fleet, drawFrom(betweenDisturbances, random), over);
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
    // A killed process is always restarted after a while.
    await pause(drawFrom(beforeRestart, random) * 1000);
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
    // The database may be killed in the meantime.
    const rows = await database.sql`select 1 from jobs where owner = ${owner} limit 1`.catch(() => undefined);
    return deadline.aborted || rows?.length === 0;
  });
  return (performance.now() - killed) / 1000;
}
