import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/cli.ts';
import { type Fleet, type ProcessKind, serviceKinds } from '../support/fleet.ts';

const kinds: readonly ProcessKind[] = [...serviceKinds, 'postgres'];

/** Seconds between a restart and the next kill, and between a kill and the restart: at least and at most. */
const betweenKills = [0.2, 1.5] as const;
const beforeRestart = [0, 1] as const;

/** What was killed. */
export interface Kills {
  byKind: ReadonlyMap<ProcessKind, number>;
  /** For every gateway that was killed with jobs in its hands: how long until none of them was left there, seconds. */
  adoptions: readonly number[];
}

/** Kills one process after another with SIGKILL, each started again soon after, until `signal` aborts. */
export async function killUntil(fleet: Fleet, random: () => number, signal: AbortSignal): Promise<Kills> {
  const byKind = new Map<ProcessKind, number>();
  const adoptions: Promise<number>[] = [];
  const between = ([least, most]: readonly [number, number]) => (least + (most - least) * random()) * 1000;
  while (!signal.aborted) {
    await pause(between(betweenKills), undefined, { signal }).catch(() => {});
    if (signal.aborted) {
      break;
    }
    const kind = kinds[Math.floor(random() * kinds.length)]!;
    const index = Math.floor(random() * fleet.count(kind));
    const owner = kind === 'gateway' ? await fleet.ownerName(index).catch(() => undefined) : undefined;
    if (!(await fleet.kill(kind, index))) {
      continue;
    }
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
    if (owner !== undefined) {
      adoptions.push(untilNothingIsOwned(fleet, owner));
    }
    // A started process always comes back: what is killed stays dead only for a while.
    await pause(between(beforeRestart));
    await fleet.restart(kind, index);
  }
  return { byKind, adoptions: await Promise.all(adoptions) };
}

async function untilNothingIsOwned({ database }: Fleet, owner: string): Promise<number> {
  const killed = performance.now();
  await eventually(async () => {
    // The database may be killed meanwhile.
    const rows = await database.sql`select 1 from jobs where owner = ${owner} limit 1`.catch(() => undefined);
    return rows?.length === 0;
  });
  return (performance.now() - killed) / 1000;
}
