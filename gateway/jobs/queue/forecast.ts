import { videoWork } from '../video-work.ts';
import { choosePauses, type Pause } from './choose-pauses.ts';
import { type End, EndTimes } from './end-times.ts';
import { estimateStart, type ModelStarts, type Start } from './estimate-start.ts';
import { FairQueue, modelKey, rankInKey } from './fair-queue.ts';
import { type Line, lineOf, lineOfModel, linesOf, newLine, resetOf, unknownJobs } from './line.ts';
import type { QueuePlace } from './queue-place.ts';
import { isUsedUp, type KeyInQueue, type QueuedJob, type QueueSnapshot, type RunningJob } from './queue-snapshot.ts';
import { type PresetOf, StageTimes, type StartedJob } from './stage-times.ts';
import { type TrialLimits, trialBounds, withJobs } from './trial.ts';

/**
 * Only the latest finished videos count, twice as many as run at once, so that times follow a change of load; but at
 * least this many.
 */
const minFinished = 4;

/** The places of a model and version. Jobs of keys that have used a budget do not count here: they take none for long. */
interface ModelPlaces extends ModelStarts {
  starts: number[];
  /** Of its first jobs, by key. */
  waiting: Map<string, number>;
  free: number;
}

/**
 * Predicts when jobs start and end by simulating the queue: jobs run for as long as {@link StageTimes} says, and
 * whenever one ends, the next of its model starts as the claim would choose it. Keys whose budget is used wait for its
 * reset. For jobs beyond the first ones of each key, which the snapshot contains, it uses means.
 */
export class Forecast {
  /** The moment of the snapshot, by the database's clock. */
  readonly #at: number;
  readonly #madeAt = performance.now();
  readonly #presetOf: PresetOf;
  readonly #snapshot: QueueSnapshot;
  /** Places of each model. */
  readonly #places: number;
  readonly #times: StageTimes | undefined;
  readonly #lines: Map<string, Line>;
  readonly #models = new Map<string, ModelPlaces>();
  readonly #starts = new Map<string, Start>();
  /** Keys whose limits and budgets are known. */
  readonly #known: Set<string>;
  /** First queued jobs of each key that have not started. */
  readonly #waiting = new Map<string, number>();
  /** When the budgets of keys that have used one are reset, seconds. */
  readonly #usedUp: ReadonlyMap<string, number>;
  /** First jobs of those keys that have not started. */
  #heldBack = 0;
  /** When each of the first jobs starts, of all models. */
  readonly #startSeconds: number[] = [];
  /** Jobs that were accepted since the snapshot, and their keys if it has no jobs of theirs. */
  readonly #accepted: QueuedJob[] = [];
  readonly #acceptedIds = new Set<string>();
  readonly #newKeys = new Map<string, KeyInQueue>();
  /** What ends the simulation. */
  readonly #limits: TrialLimits | undefined;
  /** Those that simulations with new jobs have taken. */
  #choices = 0;
  /** Whether a key may start jobs that the snapshot does not contain. */
  #hasGap = false;

  /** @param limits of a simulation for some jobs alone, which start by it or not at all */
  constructor(snapshot: QueueSnapshot, presetOf: PresetOf, limits?: TrialLimits) {
    this.#limits = limits;
    this.#snapshot = snapshot;
    this.#presetOf = presetOf;
    this.#at = snapshot.at.getTime();
    const { finished, running, places } = snapshot;
    // Paused gateways: their order is known, though not when it begins.
    this.#places = Math.max(1, places);
    const latest = finished.slice(0, Math.max(minFinished, 2 * places));
    this.#times = latest.length > 0 ? new StageTimes(latest, running, presetOf) : undefined;
    this.#lines = linesOf(snapshot);
    this.#known = new Set(this.#lines.keys());
    this.#usedUp = new Map([...this.#lines.values()].filter(isUsedUp).map((line) => [line.id, resetOf(line)]));
    this.#play();
  }

  /** The time now by the database's clock, which may differ from this machine's, milliseconds since 1970. */
  get now(): number {
    return this.#at + performance.now() - this.#madeAt;
  }

  /** Sequence number of the first job that was accepted after the snapshot. */
  get nextSequence(): number {
    return this.#snapshot.nextSequence;
  }

  /** A queued job's place. */
  placeOf(job: QueuedJob): QueuePlace {
    return this.#placeAt(job, this.#startOf(job));
  }

  #placeAt(job: QueuedJob, { position, seconds }: Start): QueuePlace {
    if (!this.#times || this.#snapshot.places === 0) {
      return { position };
    }
    const startsAt = new Date(Math.max(this.now, this.#at + 1000 * seconds));
    const readyAt = new Date(startsAt.getTime() + 1000 * this.#times.remaining(job));
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
      duration: (job) => times.remaining(job),
      remaining: (job) => times.remaining(job),
      untilDeadline: ({ deadline }) => (deadline ? (deadline.getTime() - this.now) / 1000 : Number.POSITIVE_INFINITY),
    });
  }

  /** A running job's end, estimated from its progress, and from when it continues if it is about to be paused. */
  readyAt(job: StartedJob & { id: string }): Date | undefined {
    const continues = this.#at + 1000 * (this.#starts.get(job.id)?.seconds ?? 0);
    return this.#times && new Date(Math.max(continues, this.now) + 1000 * this.#times.remaining(job));
  }

  /** Whether it knows the limits and budgets of a key: the snapshot has those of keys with jobs. */
  knows(keyId: string): boolean {
    return this.#known.has(keyId);
  }

  /** Takes note of a key that it does not know. */
  learn(key: KeyInQueue): void {
    const line = this.#lines.get(key.id) ?? lineOf(key);
    const { share, concurrentJobs, virtualStarts, budgets } = key;
    this.#lines.set(key.id, { ...line, share, concurrentJobs, virtualStarts, budgets: [...budgets] });
    this.#known.add(key.id);
    this.#newKeys.set(key.id, key);
  }

  /** Takes note of jobs that were accepted after the snapshot, at any gateway; those it knows count once. */
  accept(jobs: readonly QueuedJob[]): void {
    for (const job of jobs) {
      if (!this.#acceptedIds.has(job.id)) {
        this.#acceptedIds.add(job.id);
        this.#accepted.push(job);
        this.#note(job);
      }
    }
  }

  /** The places that new jobs would have if they were accepted together. */
  placesOfNew(jobs: readonly Omit<QueuedJob, 'id' | 'sequence'>[]): QueuePlace[] {
    const noted: number[][] = [];
    const first = Math.max(this.#snapshot.nextSequence, ...this.#accepted.map(({ sequence }) => sequence + 1));
    const wanted = jobs.map((job, index) => ({ ...job, id: `new ${index}`, sequence: first + index }));
    const starts = this.#simulate(wanted);
    const places = wanted.map((job, index) => {
      const place = this.#placeAt(job, starts[index] ?? this.#estimate(job));
      noted.push(this.#note(job));
      return place;
    });
    for (const ranks of noted.reverse()) {
      ranks.pop();
    }
    return places;
  }

  #startOf(job: QueuedJob): Start {
    const known = this.#starts.get(job.id);
    if (known) {
      return known;
    }
    if (job.sequence < this.#snapshot.nextSequence) {
      return this.#estimate(job);
    }
    const start = this.#simulate([job])[0] ?? this.#estimate(job);
    this.#starts.set(job.id, start);
    this.accept([job]);
    return start;
  }

  /**
   * When jobs start that the snapshot does not contain, after those accepted since: by a simulation with them. `undefined` for
   * jobs of a key with more unknown jobs before them than are simulated, and once another key comes to its unknown jobs.
   */
  #simulate(jobs: readonly QueuedJob[]): (Start | undefined)[] {
    const turns = 2 * (this.#places + this.#accepted.length + jobs.length);
    const most = Math.min(turns, Math.ceil(trialBounds.standIns / Math.max(1, this.#snapshot.keys.length)));
    const isSimulated = ({ keyId }: QueuedJob) => {
      const line = this.#lines.get(keyId);
      return line === undefined || line.queued - line.known <= most;
    };
    const choices = Math.min(trialBounds.choices, trialBounds.choicesInAll - this.#choices);
    if (choices <= 0 || !jobs.some(isSimulated)) {
      return [];
    }
    const others = this.#accepted.filter(({ id }) => jobs.every((job) => job.id !== id));
    const added = [...others, ...jobs].filter(isSimulated);
    const between = [...this.#lines.values()].flatMap((line) => unknownJobs(line, this.#snapshot.heads, most));
    const snapshot = withJobs(this.#snapshot, this.#newKeys.values(), between, added);
    const trial = new Forecast(snapshot, this.#presetOf, { wanted: jobs.map(({ id }) => id), choices });
    this.#choices += trialBounds.choicesPerJob * snapshot.heads.length;
    this.#choices += trial.#startSeconds.length * trial.#lines.size;
    return jobs.map(({ id }) => trial.#starts.get(id));
  }

  /** Counts a job that was accepted since; returns the ranks that it was added to. */
  #note(job: QueuedJob): number[] {
    const line = this.#lines.get(job.keyId) ?? newLine(job.keyId);
    this.#lines.set(job.keyId, line);
    const { newRanks } = lineOfModel(line, modelKey(job));
    newRanks.push(rankInKey(job));
    return newRanks;
  }

  #play(): void {
    const { heads, running } = this.#snapshot;
    const pauses = this.#pausesUnderWay();
    const queue = new FairQueue<QueuedJob>(this.#lines.values());
    const ends = new EndTimes();
    for (const job of heads.filter(({ id }) => !pauses.has(id))) {
      this.#wait(job, queue);
    }
    for (const job of running) {
      const places = this.#placesOf(job);
      places.free -= job.hasPlace ? 1 : 0;
      const next = pauses.get(job.pauseFor ?? '');
      if (next?.paused !== job) {
        ends.add({ job, at: this.#secondsOfRunning(job), frees: job.hasPlace });
        continue;
      }
      this.#begin(next.job, 0, ends);
      this.#wait({ ...job, work: 0, stages: job.stages }, queue);
    }
    this.#playOn(queue, ends);
  }

  #playOn(queue: FairQueue<QueuedJob>, ends: EndTimes): void {
    const blocked = new Set(this.#usedUp.keys());
    const mayStart = (job: QueuedJob) => this.#placesOf(job).free > 0 && !blocked.has(job.keyId);
    for (let now = 0; ; ) {
      for (let job = queue.start(mayStart); job; job = queue.start(mayStart)) {
        const places = this.#placesOf(job);
        places.free--;
        this.#count(job, -1);
        this.#begin(job, now, ends);
      }
      this.#noteFree(now);
      const resets = [...blocked].map((id) => resetOf(this.#lines.get(id)!));
      const reset = Math.min(...resets, Number.POSITIVE_INFINITY);
      const end = ends.next(reset);
      if (end) {
        now = end.at;
        queue.end(end.job.keyId);
        this.#placesOf(end.job).free += end.frees ? 1 : 0;
        this.#spend(end, blocked);
      } else if (reset < Number.POSITIVE_INFINITY) {
        now = reset;
        for (const id of [...blocked].filter((each) => resetOf(this.#lines.get(each)!) === reset)) {
          // For longer than what is left of this period, little can be predicted.
          this.#lines.get(id)!.budgets = [];
          blocked.delete(id);
        }
      } else {
        return;
      }
      if (this.#isDecided()) {
        return;
      }
    }
  }

  /** Whether nothing that is asked for depends on what would follow. */
  #isDecided(): boolean {
    if (this.#limits) {
      const { wanted, choices } = this.#limits;
      const isLong = this.#startSeconds.length * this.#lines.size > choices;
      return this.#hasGap || isLong || wanted.every((id) => this.#starts.has(id));
    }
    return this.#heldBack === 0 && [...this.#models.values()].every(({ nextFree }) => nextFree !== undefined);
  }

  /** Running jobs that make room at their next recorded step, by the id of the job that takes it. */
  #pausesUnderWay(): Map<string, { paused: RunningJob; job: QueuedJob }> {
    const { heads, running } = this.#snapshot;
    const pauses = new Map<string, { paused: RunningJob; job: QueuedJob }>();
    for (const paused of running.filter(({ pauseFor }) => pauseFor !== null)) {
      const job = heads.find(({ id }) => id === paused.pauseFor);
      const [from, to] = [this.#lines.get(paused.keyId), job && this.#lines.get(job.keyId)];
      if (job && from && to && !pauses.has(job.id)) {
        pauses.set(job.id, { paused, job });
        from.running--;
        to.running++;
        if (typeof job.paidAt !== 'number') {
          const model = modelKey(job);
          const start = to.virtualStarts[model] ?? 0;
          to.virtualStarts = { ...to.virtualStarts, [model]: start + job.work / to.share };
        }
      }
    }
    return pauses;
  }

  #begin(job: QueuedJob, now: number, ends: EndTimes): void {
    const places = this.#placesOf(job);
    const seconds = this.#times ? this.#times.remaining(job) : job.work;
    const position = this.#startSeconds.push(now);
    if (!this.#hasGap) {
      this.#starts.set(job.id, { position, seconds: now });
    }
    if (!this.#usedUp.has(job.keyId)) {
      places.jobSeconds += (seconds - places.jobSeconds) / places.starts.push(now);
    }
    ends.add({ job, at: now + seconds, frees: true });
  }

  #noteFree(now: number): void {
    for (const places of this.#models.values()) {
      if (places.nextFree === undefined && places.waiting.size === 0 && places.free > 0) {
        places.nextFree = now;
        places.freeThen = places.free;
      }
    }
  }

  #wait(job: QueuedJob, queue: FairQueue<QueuedJob>): void {
    this.#count(job, 1);
    queue.add(job);
  }

  /** Counts a job that begins (1) or ends (-1) to wait. */
  #count(job: QueuedJob, change: number): void {
    const { keyId } = job;
    this.#waiting.set(keyId, (this.#waiting.get(keyId) ?? 0) + change);
    const { waiting } = this.#placesOf(job);
    const line = this.#lines.get(keyId);
    if (this.#limits && this.#waiting.get(keyId) === 0 && line && line.queued > line.known) {
      this.#hasGap = true;
    }
    const count = (waiting.get(keyId) ?? 0) + change;
    if (this.#usedUp.has(keyId)) {
      this.#heldBack += change;
    } else if (count === 0) {
      waiting.delete(keyId);
    } else {
      waiting.set(keyId, count);
    }
  }

  /** A job's end counts against its key's budgets. */
  #spend({ job }: End, blocked: Set<string>): void {
    const line = this.#lines.get(job.keyId);
    if (!line || line.budgets.length === 0) {
      return;
    }
    const seconds = this.#times?.secondsOf(job) ?? 0;
    line.budgets = line.budgets.map((budget) => ({
      ...budget,
      left: budget.left - (budget.unit === 'videos' ? 1 : seconds),
    }));
    if (isUsedUp(line)) {
      blocked.add(line.id);
    }
  }

  #secondsOfRunning(job: RunningJob): number {
    return this.#times?.remaining(job) ?? videoWork(job.settings, this.#presetOf(job));
  }

  #placesOf(job: Pick<QueuedJob, 'model' | 'version'>): ModelPlaces {
    const model = modelKey(job);
    const known = this.#models.get(model);
    if (known) {
      return known;
    }
    const free = this.#places;
    const places: ModelPlaces = {
      starts: [],
      waiting: new Map(),
      free,
      nextFree: undefined,
      freeThen: free,
      jobSeconds: 0,
    };
    this.#models.set(model, places);
    return places;
  }

  /** For a job beyond the first of its key, or accepted since. */
  #estimate(job: QueuedJob): Start {
    return estimateStart(job, {
      ofModel: this.#placesOf(job),
      startSeconds: this.#startSeconds,
      lines: this.#lines,
      usedUp: this.#usedUp,
      places: this.#places,
      seconds: this.#times?.secondsOf(job) ?? 0,
    });
  }
}
