import { Status } from 'nice-grpc-common';
import { toFusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import type { JobOutcome } from './job.ts';
import { JobRecorder } from './job-recorder.ts';
import type { Claim, JobStore } from './job-store.ts';
import { makeVideo, type Workplace } from './make-video.ts';

export interface RunnerOptions extends Workplace {
  store: JobStore;
  log: Logger;
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Called after a job has ended here. */
  onEnd(): Promise<void>;
}

/** Takes jobs from the store and makes their videos. */
export class JobRunner {
  readonly #options: RunnerOptions;
  /** No further job is begun. */
  readonly #draining = new AbortController();
  /** Jobs under way are given up. */
  readonly #stopping = new AbortController();
  readonly #workers: Promise<void>[];

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: options.concurrentJobs }, () => this.#work());
  }

  /** Begins no further job, gives those under way `graceSeconds` to come to their end, then fails them. */
  async stop(graceSeconds: number): Promise<void> {
    this.#draining.abort();
    const timer = setTimeout(() => this.#stopping.abort(), graceSeconds * 1000);
    await Promise.all(this.#workers);
    clearTimeout(timer);
  }

  async #work(): Promise<void> {
    while (!this.#draining.signal.aborted) {
      const claim = await this.#options.store.claim(this.#draining.signal).catch(() => undefined);
      if (claim) {
        await this.#run(claim);
      }
    }
  }

  async #run({ job, ended }: Claim): Promise<void> {
    const { store, files, log } = this.#options;
    const recorder = new JobRecorder(store, job);
    const signal = AbortSignal.any([ended, this.#stopping.signal]);
    log.info({ job: job.id }, 'job begun');
    const outcome = await makeVideo(job, this.#options, recorder, signal).then(
      (facts): JobOutcome => ({ state: 'succeeded', ...facts }),
      (error: unknown) => this.#failure(error, recorder, job.id, ended),
    );
    if (outcome.state !== 'succeeded') {
      await files.remove(job.id);
    }
    const isOurs = await store.finish(job.id, outcome);
    if (!isOurs) {
      await files.remove(job.id);
    }
    log.info({ job: job.id, state: isOurs ? outcome.state : 'cancelled' }, 'job ended');
    await this.#options.onEnd();
  }

  #failure(thrown: unknown, { stage }: JobRecorder, id: string, ended: AbortSignal): JobOutcome {
    if (this.#stopping.signal.aborted) {
      const reason = 'The gateway was stopped while the job was running';
      return { state: 'failed', failure: { code: 'UNAVAILABLE', stage, reason } };
    }
    const error = toFusionError(thrown);
    if (!ended.aborted) {
      const details = error.code === Status.INTERNAL ? { err: thrown } : {};
      this.#options.log.warn({ job: id, stage, code: error.codeName, ...details }, error.message);
    }
    return { state: 'failed', failure: { code: error.codeName, stage, reason: error.message } };
  }
}
