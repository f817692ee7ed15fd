import { modelKey, rankInKey } from './fair-queue.ts';
import { budgetSeconds, jobsBefore, type Line, limitSeconds, queuedOf } from './line.ts';
import type { QueuedJob } from './queue-snapshot.ts';

/** From the moment of the snapshot, seconds. */
export interface Start {
  position: number;
  seconds: number;
}

/** When the first jobs of a model start. */
export interface ModelStarts {
  /** Of each, ascending. */
  starts: readonly number[];
  /** When all of them have started and the next place is free, and how many are then. */
  nextFree: number | undefined;
  freeThen: number;
  /** Their mean, seconds; 0 without any. */
  jobSeconds: number;
}

/** What a simulation of each key's first jobs tells. */
export interface Simulated {
  ofModel: ModelStarts;
  /** When each of them starts, of all models. */
  startSeconds: readonly number[];
  lines: ReadonlyMap<string, Line>;
  /** When the budgets of keys that have used one are reset, seconds. */
  usedUp: ReadonlyMap<string, number>;
  places: number;
  /** How long the job takes. */
  seconds: number;
}

/** When a job starts that was not simulated: by the means of those that were. */
export function estimateStart(job: QueuedJob, simulated: Simulated): Start {
  const { ofModel, startSeconds, lines, places } = simulated;
  const { starts, nextFree = 0, freeThen } = ofModel;
  const model = modelKey(job);
  const line = lines.get(job.keyId);
  const ahead = line ? jobsBefore(line, model, rankInKey(job)) : 0;
  const start = line ? (line.virtualStarts[model] ?? 0) + (ahead * line.work) / line.share : 0;
  const place = ahead + aheadOfOthers(model, line, start, simulated);
  const jobSeconds = ofModel.jobSeconds || simulated.seconds;
  const waits = Math.max(0, place + 1 - starts.length - Math.max(1, freeThen));
  const free = starts[place] ?? nextFree + (waits * jobSeconds) / places;
  const held = line
    ? Math.max(
        limitSeconds(line, ahead, jobSeconds),
        budgetSeconds(line, ahead, jobSeconds),
        resetSeconds(line, ahead, jobSeconds, simulated),
      )
    : 0;
  const seconds = Math.max(free, held);
  const ofOthers = startSeconds.filter((at) => at < seconds).length - starts.filter((at) => at < seconds).length;
  return { position: 1 + place + ofOthers, seconds };
}

/** How long a used budget delays a job with `ahead` of its key before it, which then take the places first. */
function resetSeconds({ id }: Line, ahead: number, jobSeconds: number, { usedUp, places }: Simulated): number {
  const reset = usedUp.get(id);
  const waits = Math.max(0, ahead + 1 - places);
  return reset === undefined ? 0 : reset + (waits * jobSeconds) / places;
}

/** Jobs of a model, of other keys, that start before a virtual time. */
function aheadOfOthers(model: string, own: Line | undefined, start: number, { lines, usedUp }: Simulated): number {
  let ahead = 0;
  for (const line of lines.values()) {
    const counts = line !== own && !usedUp.has(line.id);
    const others = counts ? queuedOf(line, model) + (line.models.get(model)?.newRanks.length ?? 0) : 0;
    if (others > 0) {
      const from = line.virtualStarts[model] ?? 0;
      ahead += Math.min(others, Math.max(0, Math.floor(((start - from) * line.share) / line.work) + 1));
    }
  }
  return ahead;
}
