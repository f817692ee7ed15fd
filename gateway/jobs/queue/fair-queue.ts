/** A key with jobs, as the claim sees it. */
export interface FairKey {
  id: string;
  /** 1 to 1000 */
  share: number;
  /** Maximum number of running jobs; 0: no limit. */
  concurrentJobs: number;
  running: number;
  /**
   * Virtual time from which its next job of each model may start, by `modelKey()`, after the start of the model's latest job;
   * absent: 0.
   */
  virtualStarts: Readonly<Record<string, number>>;
}

/** A queued job, as the claim sees it. */
export interface FairJob {
  keyId: string;
  sequence: number;
  priority: number;
  /** See `videoWork()`. */
  work: number;
  /** Of a paused job: the virtual time at which its key was charged for it, after the start of the model's latest job. */
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

/** A key's jobs of one model, in order. */
interface LineOfModel<J extends FairJob> {
  jobs: J[];
  next: number;
  virtualStart: number;
}

interface Line<J extends FairJob> extends FairKey {
  models: Map<string, LineOfModel<J>>;
}

/** The first job of a model that may start, of one key. */
interface Candidate<J extends FairJob> {
  line: Line<J>;
  job: J;
  start: number;
  /** Of the start behind the latest one of its model. */
  lag: number;
}

/**
 * The order in which queued jobs start: start-time fair queueing between keys, model by model because each has places of its
 * own, as `claimJob` does in the database; a test holds the two together.
 */
export class FairQueue<J extends FairJob> {
  readonly #lines = new Map<string, Line<J>>();
  /** Virtual start of each model's latest job. */
  readonly #clocks = new Map<string, number>();

  constructor(keys: Iterable<FairKey>) {
    for (const key of keys) {
      this.#lines.set(key.id, { ...key, models: new Map() });
    }
  }

  /** Adds a job of one of the keys. */
  add(job: J): void {
    const { models, virtualStarts } = this.#lines.get(job.keyId)!;
    const model = modelKey(job);
    const line = models.get(model) ?? { jobs: [], next: 0, virtualStart: virtualStarts[model] ?? 0 };
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
    const model = modelKey(job);
    const ofModel = line.models.get(model)!;
    ofModel.next++;
    line.running++;
    if (!isPaid(job)) {
      ofModel.virtualStart = start + job.work / line.share;
      if (!job.goesFirst) {
        this.#clocks.set(model, start);
      }
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
    let first: J | undefined;
    for (const { jobs, next } of line.models.values()) {
      const job = jobs[next];
      if (job && mayStart(job)) {
        first = !first || isBeforeInKey(job, first) ? job : first;
      }
    }
    return first && this.#toCandidate(line, first);
  }

  #toCandidate(line: Line<J>, job: J): Candidate<J> {
    const model = modelKey(job);
    const clock = this.#clocks.get(model) ?? 0;
    // A key that had nothing to do gets no credit for it.
    const own = Math.max(line.models.get(model)!.virtualStart, clock);
    const start = isPaid(job) ? Math.min(job.paidAt, own) : own;
    return { line, job, start, lag: start - clock };
  }
}

/** Names a job's model and version, whether it has one or not. */
export function modelKey({ model = '', version = '' }: Pick<FairJob, 'model' | 'version'>): string {
  return `${model}@${version}`;
}

function goesBefore<J extends FairJob>(one: Candidate<J>, other: Candidate<J>): boolean {
  if (goesFirst(one.job) !== goesFirst(other.job)) {
    return goesFirst(one.job);
  }
  return one.lag === other.lag ? one.job.sequence < other.job.sequence : one.lag < other.lag;
}

/** Among the first jobs of each model of a key: paused ones, which were charged when they started, go before new ones. */
function isBeforeInKey(job: FairJob, other: FairJob): boolean {
  if (goesFirst(job) !== goesFirst(other)) {
    return goesFirst(job);
  }
  return isPaid(job) === isPaid(other) ? isBefore(job, other) : isPaid(job);
}

function goesFirst(job: FairJob): boolean {
  return job.goesFirst === true;
}

function isPaid<J extends FairJob>(job: J): job is J & { paidAt: number } {
  return typeof job.paidAt === 'number';
}

function isBefore(job: FairJob, other: FairJob): boolean {
  const difference = rankInKey(job) - rankInKey(other);
  return difference < 0 || (difference === 0 && job.sequence < other.sequence);
}
