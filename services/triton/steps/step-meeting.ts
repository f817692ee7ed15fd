/** How long steps wait for those of the last batch to come back, as a part of the batch's duration. */
const patience = 0.1;

export interface MeetingStep {
  /** Batch items of its request. */
  readonly items: number;
  /** In Triton's sense: 1 goes first, 0 is the default level. */
  readonly priority: number;
}

export type EndBatch = (succeeded: boolean) => void;

export interface MeetingOptions<S> {
  /** Maximum items in a batch of the model. */
  maxItems: number;
  /** Number of servers among which batches are distributed, 1 or more. */
  servers(): number;
  /** Sends steps as one batch, and calls `end` when it has ended, with whether it succeeded. */
  send(batch: readonly S[], end: EndBatch): void;
  /** Default: the system's. */
  clock?: Clock;
}

/** A clock of milliseconds. */
export interface Clock {
  now(): number;
  /** Calls `work` once, after this time, unless the returned function is called before. */
  after(milliseconds: number, work: () => void): () => void;
}

const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, work) {
    const timer = setTimeout(work, Math.ceil(milliseconds));
    return () => clearTimeout(timer);
  },
};

interface Waiting<S> {
  step: S;
  /** Milliseconds of the clock. */
  since: number;
}

interface Batch<S> {
  steps: S[];
  items: number;
  /** Whether no further step fits, or one did not. */
  isFull: boolean;
}

/**
 * Decides which steps of several videos leave as one batch. Sent as they come, videos that began at different times would stay
 * in groups that take turns: while a server works on one group, the other waits, and each batch has only a part of the steps.
 *
 * Each server gets one batch at a time, with its share of the videos. A step waits while all servers are busy, when
 * none could begin it anyway; then, for a tenth of a batch's duration at most, until the videos of the batch that ended bring
 * their next steps. Steps that fill a batch leave at once. No step waits much longer than the last batch took: a
 * request that hangs does not hold up the others.
 */
export class StepMeeting<S extends MeetingStep> {
  readonly #options: MeetingOptions<S>;
  readonly #clock: Clock;
  /** In order of arrival. */
  #waiting: Waiting<S>[] = [];
  #batchesUnderWay = 0;
  #stepsUnderWay = 0;
  /** Steps of successful batches whose videos have not come back yet, and until when they are waited for. */
  #returning = 0;
  #returnUntil = 0;
  /** Milliseconds that the last successful batch took; undefined: there was none. */
  #lastDuration: number | undefined;
  #stopTimer = () => {};

  constructor(options: MeetingOptions<S>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  add(step: S): void {
    this.#waiting.push({ step, since: this.#clock.now() });
    this.#returning = Math.max(0, this.#returning - 1);
    this.#departIfDue();
  }

  /** Does nothing if the step was sent already. */
  remove(step: S): void {
    this.#waiting = this.#waiting.filter((each) => each.step !== step);
  }

  #departIfDue(): void {
    this.#stopTimer();
    for (const batch of this.#batches(this.#waiting.length)) {
      if (batch.isFull) {
        this.#depart(batch);
      }
    }
    while (this.#waiting.length > 0) {
      const wait = this.#dueAt() - this.#clock.now();
      if (wait > 0) {
        this.#stopTimer = this.#clock.after(wait, () => this.#departIfDue());
        return;
      }
      const share = Math.ceil((this.#waiting.length + this.#stepsUnderWay) / this.#options.servers());
      this.#depart(this.#batches(share)[0]!);
    }
  }

  #dueAt(): number {
    if (this.#lastDuration === undefined) {
      return 0;
    }
    const latest = this.#waiting[0]!.since + this.#lastDuration * (1 + patience);
    if (this.#batchesUnderWay >= this.#options.servers()) {
      return latest;
    }
    return this.#returning > 0 ? Math.min(latest, this.#returnUntil) : 0;
  }

  /** Packs the waiting steps into batches of at most `most` steps, in the order in which a server would serve them. */
  #batches(most: number): Batch<S>[] {
    const steps = this.#waiting.map(({ step }) => step);
    const batches: Batch<S>[] = [];
    for (const step of steps.toSorted((a, b) => Number(b.priority === 1) - Number(a.priority === 1))) {
      let batch = batches.at(-1);
      if (!batch || batch.steps.length === most || batch.items + step.items > this.#options.maxItems) {
        if (batch) {
          batch.isFull = true;
        }
        batch = { steps: [], items: 0, isFull: false };
        batches.push(batch);
      }
      batch.steps.push(step);
      batch.items += step.items;
      batch.isFull = batch.items >= this.#options.maxItems;
    }
    return batches;
  }

  #depart({ steps }: Batch<S>): void {
    this.#waiting = this.#waiting.filter(({ step }) => !steps.includes(step));
    this.#batchesUnderWay++;
    this.#stepsUnderWay += steps.length;
    const start = this.#clock.now();
    this.#options.send(steps, (succeeded) => {
      this.#batchesUnderWay--;
      this.#stepsUnderWay -= steps.length;
      if (succeeded) {
        const now = this.#clock.now();
        this.#lastDuration = now - start;
        this.#returning = (this.#returnUntil > now ? this.#returning : 0) + steps.length;
        this.#returnUntil = now + patience * this.#lastDuration;
      }
      this.#departIfDue();
    });
  }
}
