import { type FairKey, rankInKey } from './fair-queue.ts';
import { isUsedUp, type QueuedJob, type QueueSnapshot, type RunningJob } from './queue-snapshot.ts';

/** A running job that makes room for a queued one. */
export interface Pause {
  job: string;
  for: string;
}

/** Maximum number of pauses of a job. */
export const maxPauses = 3;

/** A job with a deadline is paused only if it may take this many times as long as estimated. */
const deadlineFactor = 1.5;

/** Times that decide about pauses, in seconds. */
export interface PauseTimes {
  /** Until a queued job starts. */
  wait(job: QueuedJob): number;
  /** How long a queued job will run. */
  duration(job: QueuedJob): number;
  /** Until a running job has ended. */
  remaining(job: RunningJob): number;
  /** Until a running job's deadline. */
  untilDeadline(job: RunningJob): number;
}

/**
 * The running jobs of `own` that may be paused, each for the next queued job of a key. A queued job goes before a running
 * one of its own key if it has a higher priority and comes before it in the key's order; it goes before one of another key
 * if that key would still run more jobs in proportion to its share. A pause must save the queued job `minSeconds` of
 * waiting; the running one must have run for as long, have as long to go, have been paused fewer than {@link maxPauses}
 * times, and meet its deadline all the same. Only one job of a model pauses at a time, and none for a key whose budget is
 * used.
 */
export function choosePauses(
  { heads, running, keys }: Pick<QueueSnapshot, 'heads' | 'running' | 'keys'>,
  own: ReadonlySet<string>,
  minSeconds: number,
  { wait, duration, remaining, untilDeadline }: PauseTimes,
): Pause[] {
  const countOf = (id: string) => running.filter(({ keyId }) => keyId === id).length;
  const keyOf = new Map(keys.map((key) => [key.id, { ...key, running: countOf(key.id) }]));
  const mayPause = (job: RunningJob) =>
    own.has(job.id) && job.pauses < maxPauses && job.seconds >= minSeconds && remaining(job) >= minSeconds;
  const pausable = running.filter(mayPause);
  return firstOfEach(heads).flatMap((job) => {
    const isOfModel = (other: RunningJob) => other.model === job.model && other.version === job.version;
    const isPausing = running.some((other) => other.pauseFor !== null && isOfModel(other));
    const key = keyOf.get(job.keyId);
    if (pausable.length === 0 || isPausing || !key || isUsedUp(key) || wait(job) < minSeconds) {
      return [];
    }
    const isInTime = (other: RunningJob) => untilDeadline(other) >= deadlineFactor * (duration(job) + remaining(other));
    const [last] = pausable
      .filter((other) => isOfModel(other) && goesBefore(job, other, keyOf) && isInTime(other))
      .sort((a, b) => a.priority - b.priority || remaining(b) - remaining(a));
    return last ? [{ job: last.id, for: job.id }] : [];
  });
}

/** The first job of each key and model that has not been started. */
function firstOfEach(heads: readonly QueuedJob[]): QueuedJob[] {
  const first = new Map<string, QueuedJob>();
  for (const job of heads) {
    const line = JSON.stringify([job.keyId, job.model, job.version]);
    if (!first.has(line) && typeof job.paidAt !== 'number') {
      first.set(line, job);
    }
  }
  return [...first.values()];
}

function goesBefore(job: QueuedJob, other: RunningJob, keyOf: ReadonlyMap<string, FairKey>): boolean {
  if (job.keyId === other.keyId) {
    return job.priority > other.priority && rankInKey(job) < rankInKey(other);
  }
  const [key, othersKey] = [keyOf.get(job.keyId), keyOf.get(other.keyId)];
  if (!key || !othersKey || (key.concurrentJobs > 0 && key.running >= key.concurrentJobs)) {
    return false;
  }
  // As it will be after the exchange; otherwise the two would take turns.
  return (key.running + 1) / key.share < othersKey.running / othersKey.share;
}
