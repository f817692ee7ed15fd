import { setTimeout as pause } from 'node:timers/promises';
import { abortable } from '../../../services/kit/abortable.ts';
import { Rerun } from '../../../services/kit/rerun.ts';
import { ask } from '../../database/ask.ts';
import { isDatabaseAway, OutageLog } from '../../database/outage-log.ts';
import type { JobModel } from '../../models/model-route.ts';
import type { QueuePlaces } from '../queue/queue-places.ts';
import type { Replica } from '../replica.ts';
import { channels } from '../store/channels.ts';
import {
  type ClaimedJob,
  type ClaimOptions,
  claimJob,
  claimUnserved,
  leaseSeconds,
  renewLeases,
  renewSeconds,
  shortenLeases,
} from '../store/leases.ts';
import { noteServed } from '../store/served-models.ts';
import { startPause } from '../store/start-pause.ts';
import { type JobTools, workOn } from './job-worker.ts';
import { type AttemptTools, RunningJobs } from './running-jobs.ts';

/**
 * Jobs of silent replicas may exceed the concurrency limit by up to this factor: they were already running, so they
 * should not wait for others to finish.
 */
const adoptionFactor = 2;

/** How long renewals must have succeeded before jobs are adopted: right after an outage, every lease is late. */
const steadySeconds = 2 * renewSeconds;
/** How long releasing jobs may take after the grace period, in seconds. */
const releaseSeconds = 3;
/** Time limit of a renewal and pause before the next try, in seconds; two tries fit into a lease. */
const renewalSeconds = 3;
const renewalPause = 0.25;

/** How often the models served here are recorded, and jobs of unserved ones looked for, in seconds. */
const noteSeconds = 15;

export interface RunnerOptions extends JobTools {
  /** Maximum number of jobs worked on at once, of each model and version. */
  concurrentJobs: number;
  /** This gateway, which starts no jobs unless it is active. */
  replica: Pick<Replica, 'owner' | 'mode'>;
  places: QueuePlaces;
  /** A running job is paused if a queued one that goes before it would wait at least this long, seconds; 0: never. */
  preemptSeconds: number;
  /** Called after a job has ended here. */
  onEnd(): void;
}

/** Claims jobs as one of any number of replicas, and renews their leases while working on them. */
export class JobRunner {
  readonly #options: RunnerOptions;
  readonly #owner: string;
  readonly #outages: OutageLog;
  readonly #running = new RunningJobs();
  /** Aborts when no further job may start. */
  readonly #draining = new AbortController();
  /** Aborts when nothing more may be written. */
  readonly #closed = new AbortController();
  readonly #filling: Rerun;
  /** When the models served here were last recorded and unserved jobs looked for, as `performance.now()`. */
  #notedAt = Number.NEGATIVE_INFINITY;
  #adopting: Promise<void> | undefined;
  #pausing: Promise<void> | undefined;
  #steadySince: number | undefined;
  /** When the database last renewed leases, as `performance.now()`. */
  #renewedAt = performance.now();
  #beating: Promise<void> = Promise.resolve();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#owner = options.replica.owner;
    this.#outages = new OutageLog(options.log);
    this.#filling = new Rerun(
      () => this.#claimAll(),
      // The next beat tries again.
      (error) => options.log.debug({ err: error }, 'cannot claim a job'),
    );
  }

  /** Starts claiming jobs. */
  async start(): Promise<void> {
    const { sql } = this.#options;
    await ask(sql, () => noteServed(sql, this.#served));
    await sql.listen(channels.waiting, () => this.#fill());
    await sql.listen(channels.cancelled, (id) => this.abort(id));
    this.#beating = this.#beat();
  }

  /** The models served here. */
  get #served(): readonly JobModel[] {
    return this.#options.models.served;
  }

  /** The models have changed. */
  changeModels(): void {
    this.#notedAt = Number.NEGATIVE_INFINITY;
    this.#fill();
  }

  /** Looks for jobs now, such as after a pause. */
  wake(): void {
    this.#fill();
  }

  /** Stops working on a job that was ended elsewhere. */
  abort(id: string): void {
    this.#running.lose(id);
  }

  /** Whether the database has not answered for as long as a lease lasts. */
  get hasLostDatabase(): boolean {
    return performance.now() - this.#renewedAt > leaseSeconds * 1000;
  }

  /**
   * Stops claiming jobs, gives running ones `graceSeconds` to finish, then releases them. Does not wait for a database that
   * does not answer: once the leases have expired, other replicas may have the jobs.
   */
  async stop(graceSeconds: number): Promise<void> {
    this.#draining.abort();
    const began = performance.now();
    const closing = setTimeout(() => this.#closed.abort(), (graceSeconds + releaseSeconds) * 1000);
    const claims = Promise.all([this.#filling.idle(), this.#adopting, this.#pausing]);
    await abortable(this.#closed.signal, claims).catch(() => {});
    // Only now, so that jobs claimed in the meantime are released, too.
    const grace = Math.max(0, graceSeconds * 1000 - (performance.now() - began));
    const giving = setTimeout(() => this.#running.giveBack(), grace);
    await this.#running.ended();
    clearTimeout(closing);
    clearTimeout(giving);
    this.#closed.abort();
    await this.#beating;
  }

  /** Renews leases and looks for jobs, as long as jobs may be running. */
  async #beat(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const isRenewed = await this.#renew();
      if (!isRenewed && this.#draining.signal.aborted && this.hasLostDatabase) {
        this.#running.giveBack();
        this.#closed.abort();
        return;
      }
      this.#adopting ??= this.#adopt()
        // The next beat tries again.
        .catch((error) => this.#options.log.debug({ err: error }, 'cannot adopt a job'))
        .finally(() => {
          this.#adopting = undefined;
        });
      this.#pausing ??= this.#pauseOne()
        // The next beat tries again.
        .catch((error) => this.#options.log.debug({ err: error }, 'cannot pause a job'))
        .finally(() => {
          this.#pausing = undefined;
        });
      this.#fill();
      await pause((isRenewed ? renewSeconds : renewalPause) * 1000, undefined, { signal }).catch(() => {});
    }
  }

  /** Renews the leases of jobs whose writes succeed; the others go to replicas with working connections. */
  async #renew(): Promise<boolean> {
    const { sql, log } = this.#options;
    const keepOnly = this.#running.snapshot();
    const ids = this.#running.writing(this.#steadySince ?? performance.now(), leaseSeconds * 1000);
    try {
      const renewing = ask(sql, () => renewLeases(sql, this.#owner, ids), renewalSeconds);
      const renewed = await abortable(this.#closed.signal, renewing);
      this.#renewedAt = performance.now();
      this.#steadySince ??= this.#renewedAt;
      this.#outages.answered();
      keepOnly(renewed);
      return true;
    } catch (error) {
      this.#steadySince = undefined;
      if (this.#closed.signal.aborted) {
        return false;
      }
      if (isDatabaseAway(error)) {
        this.#outages.missing(error);
      } else {
        log.warn({ err: error }, 'cannot renew leases');
      }
      return false;
    }
  }

  /** Adopts the jobs of silent replicas. */
  async #adopt(): Promise<void> {
    const { sql, concurrentJobs } = this.#options;
    await ask(sql, () => shortenLeases(sql));
    const isSteady = () =>
      this.#steadySince !== undefined && performance.now() - this.#steadySince >= steadySeconds * 1000;
    while (isSteady() && (await this.#claim('silent', adoptionFactor * concurrentJobs))) {
      // On to the next.
    }
    if (isSteady() && performance.now() - this.#notedAt >= noteSeconds * 1000) {
      await ask(sql, () => noteServed(sql, this.#served));
      this.#notedAt = performance.now();
      while (await this.#claimUnserved()) {
        // On to the next.
      }
    }
  }

  /** Makes one job here pause for a queued one that goes before it. */
  async #pauseOne(): Promise<void> {
    const { sql, places, preemptSeconds, checkpointSeconds, log } = this.#options;
    if (preemptSeconds === 0 || !this.#mayBegin) {
      return;
    }
    // The pause itself takes until the next checkpoint.
    const minSeconds = Math.max(preemptSeconds, checkpointSeconds);
    for (const chosen of await places.pauses(this.#running.ids, minSeconds)) {
      if (await ask(sql, () => startPause(sql, this.#owner, chosen))) {
        log.info({ job: chosen.job, for: chosen.for }, 'the job will be paused at its next recorded step');
        this.#running.pause(chosen.job);
        return;
      }
    }
  }

  /** Whether jobs may start here. */
  get #mayBegin(): boolean {
    return !this.#draining.signal.aborted && this.#options.replica.mode === 'active';
  }

  /** Claims jobs while there are free slots. Wake-ups during a round cause just one more round. */
  #fill(): void {
    if (this.#draining.signal.aborted) {
      return;
    }
    this.#filling.run();
  }

  async #claimAll(): Promise<void> {
    while (await this.#claim('waiting', this.#options.concurrentJobs)) {
      // On to the next.
    }
  }

  /**
   * Claims and starts one job of a model of which fewer than `limit` are running here; false if there was none. Each model
   * has its own limit, so that jobs that wait for the stages of one do not hold up the others.
   */
  async #claim(take: ClaimOptions['take'], limit: number): Promise<boolean> {
    const models = this.#served.filter((model) => this.#running.count(model) < limit);
    if (models.length === 0) {
      return false;
    }
    const { sql } = this.#options;
    const running = this.#running.ids;
    return this.#beginNext((signal) => claimJob(sql, { owner: this.#owner, running, models, take, signal }));
  }

  /** Claims and ends one job of a model that no gateway serves any more; false if there was none. */
  #claimUnserved(): Promise<boolean> {
    const { sql, routeSeconds } = this.#options;
    return this.#beginNext(() => claimUnserved(sql, this.#owner, routeSeconds));
  }

  async #beginNext(claim: (signal: AbortSignal) => Promise<ClaimedJob | undefined>): Promise<boolean> {
    if (!this.#mayBegin) {
      return false;
    }
    const claimed = await ask(this.#options.sql, claim);
    if (!claimed || this.#closed.signal.aborted) {
      return false;
    }
    this.#begin(claimed);
    return true;
  }

  #begin(claimed: ClaimedJob): void {
    void this.#running.begin(claimed.row, (tools) => this.#work(claimed, tools)).then(() => this.#fill());
  }

  async #work(claimed: ClaimedJob, tools: AttemptTools): Promise<void> {
    const attempt = { ...tools, claimed, owner: this.#owner, closed: this.#closed.signal };
    try {
      const delaySeconds = await workOn(attempt, this.#options);
      if (delaySeconds !== undefined) {
        // Other replicas notice at their next beat.
        setTimeout(() => this.#fill(), delaySeconds * 1000 + 1).unref();
      }
    } catch (error) {
      // The lease expires, and a replica claims the job again.
      this.#options.log.error({ job: claimed.row.id, err: error }, 'working on a job failed');
    }
    this.#options.onEnd();
  }
}
