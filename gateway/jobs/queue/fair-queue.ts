/** A key with jobs, as the claim sees it. */
export interface FairKey {
  id: string;
  /** 1 to 1000 */
  share: number;
  /** Maximum number of running jobs; 0: no limit. */
  concurrentJobs: number;
  running: number;
  /** Virtual time from which its next job may start. */
  virtualStart: number;
}

/** A queued job, as the claim sees it. */
export interface FairJob {
  keyId: string;
  sequence: number;
  priority: number;
  /** See `videoWork()`. */
  work: number;
  /** Of a paused job: the virtual time at which its key was charged for it. */
  paidAt?: number | null;
}

/** Earlier jobs of its key that a job overtakes per level of priority. */
const overtaken = 10;

/** Orders the jobs of one key; sequence numbers decide ties. */
export function rankInKey({ sequence, priority }: Pick<FairJob, 'sequence' | 'priority'>): number {
  return sequence - overtaken * priority;
}

interface Line<J extends FairJob> extends FairKey {
  jobs: J[];
  next: number;
}

/**
 * The order in which queued jobs start: start-time fair queueing between keys, as `claimJob` does in the database; a test
 * holds the two together.
 */
export class FairQueue<J extends FairJob> {
  readonly #lines = new Map<string, Line<J>>();
  #virtualTime: number;

  /** @param virtualTime virtual start of the latest job */
  constructor(keys: Iterable<FairKey>, virtualTime: number) {
    this.#virtualTime = virtualTime;
    for (const key of keys) {
      this.#lines.set(key.id, { ...key, jobs: [], next: 0 });
    }
  }

  /** Adds a job of one of the keys. */
  add(job: J): void {
    const { jobs, next } = this.#lines.get(job.keyId)!;
    let place = jobs.length;
    while (place > next && isBefore(job, jobs[place - 1]!)) {
      place--;
    }
    jobs.splice(place, 0, job);
  }

  /** Starts the next job; `undefined` if none may start. */
  start(): J | undefined {
    let first: Line<J> | undefined;
    for (const line of this.#lines.values()) {
      const isAtLimit = line.concurrentJobs > 0 && line.running >= line.concurrentJobs;
      if (line.next < line.jobs.length && !isAtLimit && (!first || this.#goesBefore(line, first))) {
        first = line;
      }
    }
    if (!first) {
      return undefined;
    }
    const start = this.#startOf(first);
    const job = first.jobs[first.next++]!;
    first.running++;
    if (!isPaid(job)) {
      first.virtualStart = start + job.work / first.share;
      this.#virtualTime = start;
    }
    return job;
  }

  /** A running job has ended; that of another key changes nothing. */
  end(keyId: string): void {
    const line = this.#lines.get(keyId);
    if (line) {
      line.running--;
    }
  }

  #goesBefore(line: Line<J>, other: Line<J>): boolean {
    const difference = this.#startOf(line) - this.#startOf(other);
    return difference < 0 || (difference === 0 && head(line).sequence < head(other).sequence);
  }

  /** A key that had nothing to do gets no credit for it. */
  #startOf(line: Line<J>): number {
    const job = head(line);
    return isPaid(job) ? job.paidAt : Math.max(line.virtualStart, this.#virtualTime);
  }
}

function isPaid<J extends FairJob>(job: J): job is J & { paidAt: number } {
  return typeof job.paidAt === 'number';
}

function head<J extends FairJob>({ jobs, next }: Line<J>): J {
  return jobs[next]!;
}

function isBefore(job: FairJob, other: FairJob): boolean {
  const difference = rankInKey(job) - rankInKey(other);
  return difference < 0 || (difference === 0 && job.sequence < other.sequence);
}
