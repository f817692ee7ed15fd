import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';
import { isFinished, type Job, type NewJob } from './job.ts';
import { JobRunner } from './job-runner.ts';
import type { JobStore } from './job-store.ts';
import type { Workplace } from './make-video.ts';

export interface VideoJobsOptions extends Workplace {
  store: JobStore;
  log: Logger;
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Finished jobs kept with their files; beyond that the one that ended first is deleted. */
  maxFinishedJobs: number;
}

/** What can be done with jobs, whatever the face through which it is asked. */
export class VideoJobs {
  readonly #options: VideoJobsOptions;
  readonly #runner: JobRunner;

  constructor(options: VideoJobsOptions) {
    this.#options = options;
    this.#runner = new JobRunner({ ...options, onEnd: () => this.#deleteOldest() });
  }

  /** Accepts a job; see {@link JobStore.create}. */
  create(job: NewJob): Promise<Job> {
    return this.#options.store.create(job);
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<Job> {
    const job = await this.#options.store.get(id);
    if (!job) {
      throw new FusionError(Status.NOT_FOUND, `id: there is no job "${id.slice(0, 80)}"`, {
        reason: 'NO_SUCH_JOB',
        field: 'id',
      });
    }
    return job;
  }

  /** Newest first; see {@link JobStore.list}. */
  list(limit: number, before: number | undefined): Promise<Job[]> {
    return this.#options.store.list(limit, before);
  }

  /** Stops a job; one that is cancelled already stays so. Throws NOT_FOUND or FAILED_PRECONDITION. */
  async cancel(id: string): Promise<Job> {
    const { store } = this.#options;
    const cancelled = await store.finish(id, { state: 'cancelled' });
    const job = await this.get(id);
    if (job.state !== 'cancelled') {
      throw wrongState(job, 'queued or running');
    }
    if (cancelled) {
      await this.#deleteOldest();
    }
    return job;
  }

  /** Removes a job that has ended, and its files. Throws NOT_FOUND or FAILED_PRECONDITION. */
  async delete(id: string): Promise<void> {
    const job = await this.get(id);
    if (!isFinished(job)) {
      throw wrongState(job, 'succeeded, failed or cancelled; cancel it first');
    }
    await this.#remove(id);
  }

  /** Follows a job to its end; see {@link JobStore.watch}. Throws NOT_FOUND. */
  async *watch(id: string, signal: AbortSignal): AsyncGenerator<Job> {
    await this.get(id);
    yield* this.#options.store.watch(id, signal);
  }

  /** Gives jobs under way a last `graceSeconds`; whatever is then not done has failed. */
  async stop(graceSeconds: number): Promise<void> {
    const stopped = this.#runner.stop(graceSeconds);
    await this.#options.store.close();
    await stopped;
  }

  async #deleteOldest(): Promise<void> {
    for (const id of await this.#options.store.finishedBeyond(this.#options.maxFinishedJobs)) {
      await this.#remove(id);
    }
  }

  async #remove(id: string): Promise<void> {
    if (await this.#options.store.delete(id)) {
      await this.#options.files.remove(id);
    }
  }
}

function wrongState({ id, state }: Job, allowed: string): FusionError {
  return new FusionError(Status.FAILED_PRECONDITION, `id: job ${id} is ${state}, allowed: ${allowed}`, {
    reason: 'WRONG_STATE',
    field: 'id',
  });
}
