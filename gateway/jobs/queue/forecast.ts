import { videoWork } from '../video-work.ts';
import { choosePauses, type Pause } from './choose-pauses.ts';
import { type End, EndTimes } from './end-times.ts';
import { FairQueue, modelKey, rankInKey } from './fair-queue.ts';
import {
  budgetSeconds,
  jobsBefore,
  type Line,
  limitSeconds,
  lineOf,
  lineOfModel,
  linesOf,
  newLine,
  queuedOf,
  resetOf,
} from './line.ts';
import type { QueuePlace } from './queue-place.ts';
import { isUsedUp, type KeyInQueue, type QueuedJob, type QueueSnapshot, type RunningJob } from './queue-snapshot.ts';
import { type PresetOf, StageTimes, type StartedJob } from './stage-times.ts';

/**
 * Only the latest finished videos count, twice as many as run at once, so that times follow a change of load; but at
 * least this many.
 */
const minFinished = 4;

/** The places of a model and version. Jobs of keys that have used a budget do not count here: they take none for long. */
interface ModelPlaces {
  /** When each of its first jobs starts, ascending. */
  starts: number[];
  /** Of its first jobs, by key. */
  waiting: Map<string, number>;
  free: number;
  /** When all of its first jobs have started and the next place is free, and how many are then. */
  nextFree: number | undefined;
  freeThen: number;
  /** When the n-th place is free although jobs wait: their keys are at a limit or use up a budget. */
  idle: number[];
  /** Keys whose jobs wait when the first of these places is free. */
  held: ReadonlySet<string>;
  /** Mean of its first jobs, seconds; 0 without any. */
  jobSeconds: number;
}

/** From the moment of the snapshot, seconds. */
interface Start {
  position: number;
  seconds: number;
}

/**
 * Predicts when jobs start and end by simulating the queue: jobs run for as long as {@link StageTimes} says, and
 * whenever one ends, the next of its model starts as the claim would choose it. Keys whose budget is used wait for its
 * reset. Beyond the first jobs of each key, which the snapshot contains, it uses their means.
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
  #accepted = 0;

  constructor(snapshot: QueueSnapshot, presetOf: PresetOf) {
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

  /** How many of the jobs from that one on it knows of. */
  get accepted(): number {
    return this.#accepted;
  }

  /** A queued job's place. */
  placeOf(job: QueuedJob): QueuePlace {
    const { position, seconds } = this.#startOf(job);
    if (!this.#times || this.#snapshot.places === 0) {
      return { position };
    }
    const startsAt = new Date(Math.max(this.now, this.#at + 1000 * seconds));
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
      duration: (job) => secondsOf(times, job),
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

  /**
   * The places that new jobs would have if they were accepted together.
   *
   * @param key theirs, if the forecast does not know it
   */
  placesOfNew(jobs: readonly Omit<QueuedJob, 'id' | 'sequence'>[], key?: KeyInQueue): QueuePlace[] {
    if (key) {
      const line = this.#lines.get(key.id) ?? lineOf(key);
      const { share, concurrentJobs, virtualStart, budgets } = key;
      this.#lines.set(key.id, { ...line, share, concurrentJobs, virtualStart, budgets: [...budgets] });
      this.#known.add(key.id);
    }
    const noted: number[][] = [];
    const places = jobs.map((each, index) => {
      const job = { ...each, id: '', sequence: this.#snapshot.nextSequence + index };
      const place = this.placeOf(job);
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
    const start = this.#estimate(job);
    if (job.id !== '' && job.sequence >= this.#snapshot.nextSequence) {
      this.#starts.set(job.id, start);
      this.#note(job);
      this.#accepted++;
    }
    return start;
  }

  /** Counts a job that was accepted since; returns the ranks that it was added to. */
  #note(job: QueuedJob): number[] {
    const line = this.#lines.get(job.keyId) ?? newLine(job.keyId, this.#snapshot.virtualTime);
    this.#lines.set(job.keyId, line);
    const { newRanks } = lineOfModel(line, modelKey(job));
    newRanks.push(rankInKey(job));
    return newRanks;
  }

  #play(): void {
    const { heads, running, virtualTime } = this.#snapshot;
    const pauses = this.#pausesUnderWay();
    const queue = new FairQueue<QueuedJob>(this.#lines.values(), virtualTime);
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
      this.#noteIdle(now, blocked);
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
      if (this.#heldBack === 0 && [...this.#models.values()].every(({ nextFree }) => nextFree !== undefined)) {
        return;
      }
    }
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
        const start = Math.max(to.virtualStart, this.#snapshot.virtualTime);
        to.virtualStart = typeof job.paidAt === 'number' ? to.virtualStart : start + job.work / to.share;
      }
    }
    return pauses;
  }

  #begin(job: QueuedJob, now: number, ends: EndTimes): void {
    const places = this.#placesOf(job);
    const seconds = this.#times ? secondsOf(this.#times, job) : job.work;
    this.#starts.set(job.id, { position: this.#startSeconds.push(now), seconds: now });
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

  /** No place is idle while a key that may start has jobs beyond its first ones. */
  #noteIdle(now: number, blocked: ReadonlySet<string>): void {
    const canStart = ({ id, queued, known }: Line) =>
      queued > known && !blocked.has(id) && (this.#waiting.get(id) ?? 0) === 0;
    if ([...this.#lines.values()].some(canStart)) {
      return;
    }
    for (const places of this.#models.values()) {
      const { waiting, free, idle } = places;
      if (waiting.size > 0 && free > 0 && idle.length === 0) {
        places.held = new Set(waiting.keys());
      }
      while (waiting.size > 0 && idle.length < free) {
        idle.push(now);
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
      idle: [],
      held: new Set(),
      jobSeconds: 0,
    };
    this.#models.set(model, places);
    return places;
  }

  /** For a job beyond the first of its key, or accepted since. */
  #estimate(job: QueuedJob): Start {
    const model = modelKey(job);
    const { starts, nextFree = 0, freeThen, jobSeconds: mean } = this.#placesOf(job);
    const line = this.#lines.get(job.keyId);
    const ahead = line ? jobsBefore(line, model, rankInKey(job)) : 0;
    const start = line
      ? Math.max(line.virtualStart, this.#snapshot.virtualTime) + (ahead * line.work) / line.share
      : this.#snapshot.virtualTime;
    const place = ahead + this.#aheadOfOthers(model, line, start);
    const jobSeconds = mean || (this.#times?.secondsOf(job) ?? 0);
    const waits = Math.max(0, place + 1 - starts.length - Math.max(1, freeThen));
    const free = starts[place] ?? nextFree + (waits * jobSeconds) / this.#places;
    const limit = line
      ? Math.max(
          limitSeconds(line, ahead, jobSeconds),
          budgetSeconds(line, ahead, jobSeconds),
          this.#resetSeconds(line, ahead, jobSeconds),
        )
      : 0;
    const idle = this.#idleFor(job, line);
    if (idle && idle.seconds < free && limit === 0) {
      return {
        position: 1 + this.#startSeconds.filter((at) => at <= idle.seconds).length + idle.ahead,
        seconds: idle.seconds,
      };
    }
    const seconds = Math.max(free, limit);
    const ofOthers =
      this.#startSeconds.filter((at) => at < seconds).length - starts.filter((at) => at < seconds).length;
    return { position: 1 + place + ofOthers, seconds };
  }

  /** When a job takes a place that is free although other keys' jobs wait, and how many new ones take such places before it. */
  #idleFor(job: QueuedJob, own: Line | undefined): { seconds: number; ahead: number } | undefined {
    const model = modelKey(job);
    const { idle, held } = this.#placesOf(job);
    const isHeld = ({ id }: Line) => this.#usedUp.has(id) || held.has(id);
    if (own && isHeld(own)) {
      return undefined;
    }
    const rank = rankInKey(job);
    const ahead = [...this.#lines.values()]
      .filter((line) => !isHeld(line))
      .flatMap((line) =>
        (line.models.get(model)?.newRanks ?? []).filter((other) => line !== own || other < rank),
      ).length;
    const seconds = idle[ahead];
    return seconds === undefined ? undefined : { seconds, ahead };
  }

  /** How long a used budget delays a job with `ahead` of its key before it, which then take the places first. */
  #resetSeconds({ id }: Line, ahead: number, jobSeconds: number): number {
    const reset = this.#usedUp.get(id);
    const waits = Math.max(0, ahead + 1 - this.#places);
    return reset === undefined ? 0 : reset + (waits * jobSeconds) / this.#places;
  }

  /** Jobs of a model, of other keys, that start before a virtual time. */
  #aheadOfOthers(model: string, own: Line | undefined, start: number): number {
    let ahead = 0;
    for (const line of this.#lines.values()) {
      const counts = line !== own && !this.#usedUp.has(line.id);
      const others = counts ? queuedOf(line, model) + (line.models.get(model)?.newRanks.length ?? 0) : 0;
      if (others > 0) {
        const from = Math.max(line.virtualStart, this.#snapshot.virtualTime);
        ahead += Math.min(others, Math.max(0, Math.floor(((start - from) * line.share) / line.work) + 1));
      }
    }
    return ahead;
  }
}

/** Until the end of a job that starts, or continues after a pause. */
function secondsOf(times: StageTimes, { stages = [], ...job }: QueuedJob): number {
  return times.remaining({ ...job, stages });
}
