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
  /** Whether another job was paused for it: it goes before all. */
  goesFirst?: boolean;
  /** See `JobModel`. */
  model?: string;
  version?: string;
}

/** Earlier jobs of its key that a job overtakes per level of priority. */
const overtaken = 10;

/** Orders the jobs of one key; sequence numbers decide ties. */
export function rankInKey({ sequence, priority }: Pick<FairJob, 'sequence' | 'priority'>): number {
  return sequence - overtaken * priority;
}

interface Line<J extends FairJob> extends FairKey {
  /** Its jobs of each model, in order. */
  models: Map<string, { jobs: J[]; next: number }>;
}

/** The first job of a model that may start, of one key. */
interface Candidate<J extends FairJob> {
  line: Line<J>;
  job: J;
  start: number;
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
      this.#lines.set(key.id, { ...key, models: new Map() });
    }
  }

  /** Adds a job of one of the keys. */
  add(job: J): void {
    const { models } = this.#lines.get(job.keyId)!;
    const model = modelKey(job);
    const line = models.get(model) ?? { jobs: [], next: 0 };
    models.set(model, line);
    const { jobs, next } = line;
    let place = jobs.length;
    while (place > next && isBefore(job, jobs[place - 1]!)) {
      place--;
    }
    jobs.splice(place, 0, job);
  }

  /**
   * Starts the next job; `undefined` if none may start.
   *
   * @param mayStart asked about the first job of each key and model. Default: all may
   */
  start(mayStart: (job: J) => boolean = () => true): J | undefined {
    let first: Candidate<J> | undefined;
    for (const line of this.#lines.values()) {
      const isAtLimit = line.concurrentJobs > 0 && line.running >= line.concurrentJobs;
      const own = isAtLimit ? undefined : this.#candidate(line, mayStart);
      if (own && (!first || goesBefore(own, first))) {
        first = own;
      }
    }
    if (!first) {
      return undefined;
    }
    const { line, job, start } = first;
    line.models.get(modelKey(job))!.next++;
    line.running++;
    if (!isPaid(job)) {
      line.virtualStart = start + job.work / line.share;
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

  #candidate(line: Line<J>, mayStart: (job: J) => boolean): Candidate<J> | undefined {
    let first: Candidate<J> | undefined;
    for (const { jobs, next } of line.models.values()) {
      const job = jobs[next];
      if (job && mayStart(job)) {
        const candidate = { line, job, start: this.#startOf(line, job) };
        first = !first || goesBefore(candidate, first) ? candidate : first;
      }
    }
    return first;
  }

  /** A key that had nothing to do gets no credit for it. */
  #startOf(line: Line<J>, job: J): number {
    return isPaid(job) ? job.paidAt : Math.max(line.virtualStart, this.#virtualTime);
  }
}

/** Names a job's model and version, whether it has one or not. */
export function modelKey({ model = '', version = '' }: Pick<FairJob, 'model' | 'version'>): string {
  return `${model}@${version}`;
}

function goesBefore<J extends FairJob>(one: Candidate<J>, other: Candidate<J>): boolean {
  if ((one.job.goesFirst ?? false) !== (other.job.goesFirst ?? false)) {
    return one.job.goesFirst === true;
  }
  const difference = one.start - other.start;
  if (difference === 0) {
    return one.line === other.line ? isBefore(one.job, other.job) : one.job.sequence < other.job.sequence;
  }
  return difference < 0;
}

function isPaid<J extends FairJob>(job: J): job is J & { paidAt: number } {
  return typeof job.paidAt === 'number';
}

function isBefore(job: FairJob, other: FairJob): boolean {
  const difference = rankInKey(job) - rankInKey(other);
  return difference < 0 || (difference === 0 && job.sequence < other.sequence);
}
