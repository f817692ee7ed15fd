import { newKey } from './line.ts';
import type { KeyInQueue, QueuedJob, QueueSnapshot } from './queue-snapshot.ts';

/** Bounds simulations with new jobs, which other creations wait for. Beyond that, jobs get means. */
export const trialBounds = {
  /** Jobs that stand for unknown ones. */
  standIns: 1000,
  /** Starts × keys of a simulation. */
  choices: 100_000,
  /** Of all those of a forecast. */
  choicesInAll: 500_000,
  /** Reading a job takes as long as so many. */
  choicesPerJob: 50,
} as const;

/** Ends a simulation: once jobs with these ids have started, or after so many starts × keys. */
export interface TrialLimits {
  wanted: readonly string[];
  choices: number;
}

/**
 * The queue with further jobs.
 *
 * @param newKeys keys that have no jobs in the snapshot
 * @param between stand-ins for queued jobs that the snapshot only counts
 * @param added jobs accepted since, and those to accept
 */
export function withJobs(
  snapshot: QueueSnapshot,
  newKeys: Iterable<KeyInQueue>,
  between: readonly QueuedJob[],
  added: readonly QueuedJob[],
): QueueSnapshot {
  const keys = new Map([...snapshot.keys, ...newKeys].map((key) => [key.id, key]));
  for (const { keyId } of added) {
    const key = keys.get(keyId) ?? newKey(keyId);
    keys.set(keyId, { ...key, queued: key.queued + 1 });
  }
  return { ...snapshot, keys: [...keys.values()], heads: [...snapshot.heads, ...between, ...added] };
}
