import { videoWork } from '../video-work.ts';
import { choosePauses, type Pause } from './choose-pauses.ts';
import { FairQueue, rankInKey } from './fair-queue.ts';
import type { QueuePlace } from './queue-place.ts';
import type { KeyInQueue, QueuedJob, QueueSnapshot } from './queue-snapshot.ts';
import { type PresetOf, StageTimes, type StartedJob } from './stage-times.ts';

/**
 * Only the latest finished videos count, twice as many as run at once, so that times follow a change of load; but at
 * least this many.
 */
const minFinished = 4;

interface Line extends KeyInQueue {
  /** Of its first queued jobs, ascending. */
  ranks: number[];
  /** Of jobs that were accepted since and asked about. */
  newRanks: number[];
  running: number;
  /** Mean work of its first queued jobs. */
  work: number;
}

/** From the moment of the snapshot, seconds. */
interface Start {
  position: number;
  seconds: number;
}

/**
 * Predicts when jobs start and end by simulating the queue: jobs run for as long as {@link StageTimes} says, and
 * whenever one ends, the next starts as the claim would choose it. Beyond the first jobs of each key, which the
 * snapshot contains, it uses their means.
 */
export class Forecast {
  readonly #at: number;
  readonly #presetOf: PresetOf;
  readonly #snapshot: QueueSnapshot;
  readonly #times: StageTimes | undefined;
  readonly #lines: Map<string, Line>;
  readonly #starts = new Map<string, Start>();
  /** When each of the first jobs starts, and then when the next place is free. */
  readonly #startSeconds: number[] = [];
  #nextFree = 0;
  /** Places that are free then. */
  #freePlaces = 0;
  /** Mean of the first jobs, seconds; 0 without any. */
  #jobSeconds = 0;

  constructor(snapshot: QueueSnapshot, presetOf: PresetOf) {
    this.#snapshot = snapshot;
    this.#presetOf = presetOf;
    this.#at = snapshot.at.getTime();
    const { finished, running, places } = snapshot;
    const latest = finished.slice(0, Math.max(minFinished, 2 * places));
    this.#times = latest.length > 0 ? new StageTimes(latest, running, presetOf) : undefined;
    this.#lines = linesOf(snapshot);
    this.#play();
  }

  /** A queued job's place. */
  placeOf(job: QueuedJob): QueuePlace {
    const { position, seconds } = this.#startOf(job);
    if (!this.#times) {
      return { position };
    }
    const startsAt = new Date(Math.max(Date.now(), this.#at + 1000 * seconds));
    const readyAt = new Date(startsAt.getTime() + 1000 * secondsOf(this.#times, job));
    return { position, startsAt, readyAt };
  }

  /** The running jobs of `own` that may be paused now, see {@link choosePauses}. */
  pauses(own: ReadonlySet<string>, minSeconds: number): Pause[] {
    const times = this.#times;
    if (!times) {
      return [];
    }
    return choosePauses(this.#snapshot, own, minSeconds, {
      wait: (job) => this.#startOf(job).seconds,
      remaining: (job) => times.remaining(job),
    });
  }

  /** A running job's end, estimated from its progress. */
  readyAt(job: StartedJob): Date | undefined {
    return this.#times && new Date(Math.max(this.#at, Date.now()) + 1000 * this.#times.remaining(job));
  }

  /** The place that a new job would have. */
  placeOfNew(job: Omit<QueuedJob, 'id' | 'sequence'>): QueuePlace {
    return this.placeOf({ ...job, id: '', sequence: this.#snapshot.nextSequence });
  }

  #startOf(job: QueuedJob): Start {
    const known = this.#starts.get(job.id);
    if (known) {
      return known;
    }
    const start = this.#estimate(job);
    if (job.id !== '' && job.sequence >= this.#snapshot.nextSequence) {
      this.#starts.set(job.id, start);
      const line = this.#lines.get(job.keyId) ?? newLine(job.keyId, this.#snapshot.virtualTime);
      line.newRanks.push(rankInKey(job));
      this.#lines.set(job.keyId, line);
    }
    return start;
  }

  #play(): void {
    const { places, heads, running, virtualTime } = this.#snapshot;
    const queue = new FairQueue<QueuedJob>(this.#lines.values(), virtualTime);
    for (const job of heads) {
      queue.add(job);
    }
    const ends = new EndTimes();
    for (const job of running) {
      ends.add(job.keyId, this.#times?.remaining(job) ?? videoWork(job.settings, this.#presetOf(job)));
    }
    let now = 0;
    let total = 0;
    let free = Math.max(0, places - running.length);
    for (; ; free++) {
      for (let job = free > 0 && queue.start(); job; job = free > 0 && queue.start()) {
        free--;
        const seconds = this.#times ? secondsOf(this.#times, job) : job.work;
        total += seconds;
        this.#starts.set(job.id, { position: this.#startSeconds.push(now), seconds: now });
        ends.add(job.keyId, now + seconds);
      }
      if (this.#startSeconds.length === heads.length && free > 0) {
        break;
      }
      const end = ends.next();
      if (!end) {
        break;
      }
      now = end.at;
      queue.end(end.keyId);
    }
    this.#nextFree = now;
    this.#freePlaces = free;
    this.#jobSeconds = heads.length > 0 ? total / heads.length : 0;
  }

  /** For a job beyond the first of its key, or accepted since. */
  #estimate(job: QueuedJob): Start {
    const { virtualTime, places } = this.#snapshot;
    const line = this.#lines.get(job.keyId);
    const ahead = line ? jobsBefore(line, rankInKey(job)) : 0;
    const startOf = (key: Line) => Math.max(key.virtualStart, virtualTime);
    const start = line ? startOf(line) + (ahead * line.work) / line.share : virtualTime;
    const others = [...this.#lines.values()].filter((other) => other !== line);
    const aheadOfOthers = others.reduce((sum, other) => {
      const starts = Math.floor(((start - startOf(other)) * other.share) / other.work) + 1;
      return sum + Math.min(other.queued + other.newRanks.length, Math.max(0, starts));
    }, 0);
    const position = 1 + ahead + aheadOfOthers;
    const jobSeconds = this.#jobSeconds || (this.#times?.secondsOf(job) ?? 0);
    const waits = Math.max(0, position - this.#startSeconds.length - Math.max(1, this.#freePlaces));
    const seconds = this.#startSeconds[position - 1] ?? this.#nextFree + (waits * jobSeconds) / Math.max(1, places);
    return { position, seconds: Math.max(seconds, line ? limitSeconds(line, ahead, jobSeconds) : 0) };
  }
}

/** Until the end of a job that starts, or continues after a pause. */
function secondsOf(times: StageTimes, { stages = [], ...job }: QueuedJob): number {
  return times.remaining({ ...job, stages });
}

/** How long the key's limit on running jobs delays a job with `ahead` before it. */
function limitSeconds({ concurrentJobs, running }: Line, ahead: number, jobSeconds: number): number {
  const surplus = concurrentJobs > 0 ? ahead + running + 1 - concurrentJobs : 0;
  return surplus > 0 ? (surplus * jobSeconds) / concurrentJobs : 0;
}

function newLine(id: string, virtualStart: number): Line {
  const key = { id, share: 1, concurrentJobs: 0, virtualStart, queued: 0, lastRank: null };
  return { ...key, ...noJobs(), work: 1 };
}

function noJobs(): Pick<Line, 'ranks' | 'newRanks' | 'running' | 'work'> {
  return { ranks: [], newRanks: [], running: 0, work: 0 };
}

function linesOf({ keys, heads, running }: QueueSnapshot): Map<string, Line> {
  const lines = new Map(keys.map((key): [string, Line] => [key.id, { ...key, ...noJobs() }]));
  for (const { keyId } of running) {
    const line = lines.get(keyId);
    if (line) {
      line.running++;
    }
  }
  for (const job of heads) {
    const line = lines.get(job.keyId)!;
    line.work += (job.work - line.work) / line.ranks.push(rankInKey(job));
  }
  for (const line of lines.values()) {
    line.work ||= 1;
  }
  return lines;
}

/** Queued jobs of a key before a rank; beyond the known ones they are assumed to be spread evenly. */
function jobsBefore({ ranks, newRanks, queued, lastRank }: Line, rank: number): number {
  const before = (others: readonly number[]) => others.filter((other) => other < rank).length;
  const known = before(ranks) + before(newRanks);
  const [first, last] = [ranks.at(-1), lastRank];
  if (first === undefined || rank <= first || last === null || last <= first) {
    return known;
  }
  const share = Math.min(1, (rank - first) / (last - first));
  return known + Math.round(share * Math.max(0, queued - ranks.length));
}

/** When running jobs end, earliest first. */
class EndTimes {
  /** Descending. */
  readonly #ends: { keyId: string; at: number }[] = [];

  add(keyId: string, at: number): void {
    let [low, high] = [0, this.#ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      [low, high] = this.#ends[middle]!.at > at ? [middle + 1, high] : [low, middle];
    }
    this.#ends.splice(low, 0, { keyId, at });
  }

  next(): { keyId: string; at: number } | undefined {
    return this.#ends.pop();
  }
}
