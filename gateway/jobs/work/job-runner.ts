import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Rerun } from '../../../services/kit/rerun.ts';
import { ask } from '../../database/ask.ts';
import { isDatabaseAway, OutageLog } from '../../database/outage-log.ts';
import { channels } from '../store/channels.ts';
import {
  type ClaimedJob,
  type ClaimOptions,
  claimJob,
  leaseSeconds,
  renewLeases,
  renewSeconds,
  shortenLeases,
} from '../store/leases.ts';
import { type JobTools, workOn } from './job-worker.ts';
import { type AttemptTools, RunningJobs } from './running-jobs.ts';

/**
 * Jobs of silent replicas are taken on beyond the number to be worked on at once, up to this many times that number: having
 * been begun, they should not wait for others to end.
 */
const adoptionFactor = 2;

/** Renewals must have succeeded for so long before jobs of silent replicas are adopted: after an outage all leases are late. */
const steadySeconds = 2 * renewSeconds;
/** How long releasing jobs may take after their time to end is over, seconds. */
const releaseSeconds = 3;
/** How long renewing may take, and the pause before it is tried again, seconds: two tries fit into a lease. */
const renewalSeconds = 3;
const renewalPause = 0.25;

export interface RunnerOptions extends JobTools {
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Called after a job has ended here. */
  onEnd(): void;
}

/** Takes on jobs, as one of any number of replicas, and keeps their leases while it works. */
export class JobRunner {
  readonly #options: RunnerOptions;
  /** Of this start of this process: another one never takes over its leases unseen. */
  readonly #owner = `${hostname()}/${process.pid}/${randomUUID()}`;
  readonly #outages: OutageLog;
  readonly #running = new RunningJobs();
  /** No further job is begun. */
  readonly #draining = new AbortController();
  /** Nothing is written any more. */
  readonly #closed = new AbortController();
  readonly #filling: Rerun;
  #adopting: Promise<void> | undefined;
  #steadySince: number | undefined;
  #beating: Promise<void> = Promise.resolve();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#outages = new OutageLog(options.log);
    this.#filling = new Rerun(
      () => this.#claimAll(),
      // The next beat tries again.
      (error) => options.log.debug({ err: error }, 'no job could be claimed'),
    );
  }

  /** Begins to work. */
  async start(): Promise<void> {
    const { sql } = this.#options;
    await sql.listen(channels.waiting, () => this.#fill());
    await sql.listen(channels.cancelled, (id) => this.abort(id));
    this.#beating = this.#beat();
  }

  /** Stops working on a job that has ended by another's hand. */
  abort(id: string): void {
    this.#running.lose(id);
  }

  /** Begins no further job, gives those under way `graceSeconds` to end and then gives them back. */
  async stop(graceSeconds: number): Promise<void> {
    this.#draining.abort();
    await Promise.all([this.#filling.idle(), this.#adopting]);
    const timers = [
      setTimeout(() => this.#running.giveBack(), graceSeconds * 1000),
      setTimeout(() => this.#closed.abort(), (graceSeconds + releaseSeconds) * 1000),
    ];
    await this.#running.ended();
    timers.forEach(clearTimeout);
    this.#closed.abort();
    await this.#beating;
  }

  /** Renews leases and looks for jobs, as long as jobs may be under way. */
  async #beat(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const isRenewed = await this.#renew();
      this.#adopting ??= this.#adopt()
        // The next beat tries again.
        .catch((error) => this.#options.log.debug({ err: error }, 'no job could be adopted'))
        .finally(() => {
          this.#adopting = undefined;
        });
      this.#fill();
      await pause((isRenewed ? renewSeconds : renewalPause) * 1000, undefined, { signal }).catch(() => {});
    }
  }

  /** Keeps the leases of the jobs whose writes get through; others are left to replicas whose connections work. */
  async #renew(): Promise<boolean> {
    const { sql, log } = this.#options;
    const keepOnly = this.#running.snapshot();
    const ids = this.#running.writing(this.#steadySince ?? performance.now(), leaseSeconds * 1000);
    try {
      const renewed = await ask(sql, () => renewLeases(sql, this.#owner, ids), renewalSeconds);
      this.#steadySince ??= performance.now();
      this.#outages.answered();
      keepOnly(renewed);
      return true;
    } catch (error) {
      this.#steadySince = undefined;
      if (isDatabaseAway(error)) {
        this.#outages.missing(error);
      } else {
        log.warn({ err: error }, 'leases could not be renewed');
      }
      return false;
    }
  }

  /** Takes on the jobs of replicas that fell silent. */
  async #adopt(): Promise<void> {
    const { sql, concurrentJobs } = this.#options;
    await ask(sql, () => shortenLeases(sql));
    const isSteady = () =>
      this.#steadySince !== undefined && performance.now() - this.#steadySince >= steadySeconds * 1000;
    const hasRoom = () => this.#running.size < adoptionFactor * concurrentJobs;
    while (isSteady() && hasRoom() && (await this.#claim('silent'))) {
      // On to the next.
    }
  }

  /** Takes on jobs as long as there is room; while that is under way one more round is enough for whatever wakes it. */
  #fill(): void {
    if (this.#draining.signal.aborted) {
      return;
    }
    this.#filling.run();
  }

  async #claimAll(): Promise<void> {
    while (this.#running.size < this.#options.concurrentJobs && (await this.#claim('waiting'))) {
      // On to the next.
    }
  }

  /** Whether there was one, and it is begun. */
  async #claim(take: ClaimOptions['take']): Promise<boolean> {
    if (this.#draining.signal.aborted) {
      return false;
    }
    const { sql } = this.#options;
    const claimed = await ask(sql, (signal) =>
      claimJob(sql, { owner: this.#owner, running: this.#running.ids, take, signal }),
    );
    if (claimed) {
      this.#begin(claimed);
    }
    return claimed !== undefined;
  }

  #begin(claimed: ClaimedJob): void {
    const { id, attempt } = claimed.row;
    void this.#running.begin(id, attempt, (tools) => this.#work(claimed, tools)).then(() => this.#fill());
  }

  async #work(claimed: ClaimedJob, tools: AttemptTools): Promise<void> {
    const attempt = { ...tools, claimed, owner: this.#owner, closed: this.#closed.signal };
    try {
      const delaySeconds = await workOn(attempt, this.#options);
      if (delaySeconds !== undefined) {
        // Other replicas find out at their next beat.
        setTimeout(() => this.#fill(), delaySeconds * 1000 + 1).unref();
      }
    } catch (error) {
      // Its lease runs out, and it is taken on anew.
      this.#options.log.error({ job: claimed.row.id, err: error }, 'a job could not be worked on');
    }
    this.#options.onEnd();
  }
}
