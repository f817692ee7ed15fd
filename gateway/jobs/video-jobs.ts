import { rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { observe } from '../../services/kit/telemetry/metrics.ts';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import type { UsageGroup } from '../../services/pipeline/usage-groups.ts';
import { ask } from '../database/ask.ts';
import { warnUnlessAway } from '../database/outage-log.ts';
import { currentPatience, outsideRequest } from '../database/patience.ts';
import type { Caller } from '../keys/caller.ts';
import type { ByteRange } from '../storage/object-store.ts';
import { objectGone, openVerified } from '../storage/verified-object.ts';
import { Deadlines } from './deadlines.ts';
import { JobEvents } from './events/job-events.ts';
import { Housekeeping } from './housekeeping.ts';
import {
  isFinished,
  type Job,
  type JobEvent,
  type JobFile,
  type JobFileName,
  type NewJob,
  type StoredWebhook,
  type Webhook,
} from './job.ts';
import { JobCreation } from './job-creation.ts';
import { noFile, noSuchFile, noSuchJob, wrongState } from './job-errors.ts';
import { filesOf } from './job-files.ts';
import { jobsByModel, jobsByState } from './observed-loads.ts';
import { QueuePlaces } from './queue/queue-places.ts';
import { Replica } from './replica.ts';
import type { NameError } from './store/create-job.ts';
import { cancelJob, cancelJobsOfKey } from './store/end-job.ts';
import type { GatewayMode } from './store/gateways.ts';
import { toJob } from './store/job-rows.ts';
import type { KeptResultsBounds } from './store/kept-results.ts';
import { type JobPage, listJobs, readFrameFile, readJob, readSequence } from './store/read-jobs.ts';
import { readUsage, type UsageQuery } from './store/read-usage.ts';
import { markDeleted, type Retention } from './store/retention.ts';
import { type ModelLoad, readModelLoads } from './store/served-models.ts';
import { JobRunner } from './work/job-runner.ts';
import { noteEnd } from './work/job-trace.ts';
import type { JobTools } from './work/job-worker.ts';
import { tidyObjects } from './work/tidy-objects.ts';

/** How long a caller, or the end of the process, waits for work that may also finish later, seconds. */
const momentSeconds = 2;

export interface VideoJobsOptions extends Omit<JobTools, 'scratch'>, Retention, KeptResultsBounds {
  /** This gateway's name, see `usualGatewayName()`. */
  name: string;
  /** Maximum number of jobs worked on at once. */
  concurrentJobs: number;
  /** See `RunnerOptions`. */
  preemptSeconds: number;
  /** Maximum number of queued jobs; beyond it, RESOURCE_EXHAUSTED. */
  maxQueuedJobs: number;
  /** Converts a webhook to its stored form, with the secret encrypted. */
  sealWebhook(webhook: Webhook): Promise<StoredWebhook>;
}

/** A file of a job, or a range of one. */
export interface OpenedFile extends JobFile {
  stream: Readable;
}

/** The job operations behind the HTTP and gRPC APIs. Callers see only the jobs of their own key. */
export class VideoJobs {
  readonly #options: VideoJobsOptions;
  readonly #scratch: string;
  readonly #replica: Replica;
  readonly #runner: JobRunner;
  readonly #events: JobEvents;
  readonly #housekeeping: Housekeeping;
  readonly #places: QueuePlaces;
  readonly #deadlines: Deadlines;
  readonly #creation: JobCreation;

  #endObservation = () => {};

  private constructor(options: VideoJobsOptions, scratch: string) {
    const { sql, keepSeconds, log } = options;
    this.#options = options;
    this.#scratch = scratch;
    this.#events = new JobEvents(sql, keepSeconds, log);
    this.#housekeeping = new Housekeeping(options);
    this.#places = new QueuePlaces(options);
    this.#deadlines = new Deadlines({ ...options, places: this.#places });
    this.#creation = new JobCreation({
      ...options,
      places: this.#places,
      deadlines: this.#deadlines,
      housekeeping: this.#housekeeping,
    });
    this.#replica = new Replica(options);
    this.#runner = new JobRunner({
      ...options,
      scratch,
      replica: this.#replica,
      places: this.#places,
      onEnd: () => this.#housekeeping.run(),
    });
  }

  /** Opens the jobs in a database and starts working on them. */
  static async start(options: VideoJobsOptions): Promise<VideoJobs> {
    const jobs = new VideoJobs(options, makeTemporaryFolder());
    try {
      await jobs.#events.open();
      // First, because a paused gateway stays so across restarts.
      await jobs.#replica.start(() => jobs.#runner.wake());
      await jobs.#runner.start();
      jobs.#housekeeping.start();
      jobs.#deadlines.start();
      const observations = [
        observe('fusionframes.jobs', () => jobsByState(options.sql)),
        observe('fusionframes.model.jobs', () => jobsByModel(options)),
        observe('fusionframes.gateway.paused', async () => [{ value: Number(jobs.mode !== 'active'), attributes: {} }]),
      ];
      jobs.#endObservation = () => observations.forEach((end) => void end());
      return jobs;
    } catch (error) {
      await jobs.stop(0);
      throw error;
    }
  }

  /** Whether this gateway starts jobs, as operators have set it. */
  get mode(): GatewayMode {
    return this.#replica.mode;
  }

  /** The models have changed: their jobs may start here, and those of removed ones no longer do. */
  changeModels(): void {
    this.#runner.changeModels();
  }

  /** Accepts one job, see {@link createAll}. */
  async create(job: NewJob, caller: Caller, signal: AbortSignal): Promise<{ job: Job; replayed: boolean }> {
    const [created] = await this.createAll([job], caller, signal);
    return created!;
  }

  /** See `JobCreation.createAll()`. */
  createAll(
    jobs: readonly NewJob[],
    caller: Caller,
    signal: AbortSignal,
    named?: NameError,
  ): Promise<{ job: Job; replayed: boolean }[]> {
    return this.#creation.createAll(jobs, caller, signal, named);
  }

  /** Throws NOT_FOUND. */
  async get(id: string, caller: Caller): Promise<Job> {
    return this.#withPlace(await this.#read(id, caller));
  }

  async #read(id: string, caller: Caller): Promise<Job> {
    const row = await ask(this.#options.sql, () => readJob(this.#options.sql, id, caller));
    if (!row) {
      throw noSuchJob(id);
    }
    return toJob(row, this.#options.keepSeconds);
  }

  /** A job as it was after one of its events. Throws NOT_FOUND. */
  async getAt(id: string, event: number, caller: Caller): Promise<Job> {
    return this.#events.at(await this.get(id, caller), event);
  }

  /** A job's position in lists, even after it was deleted. Throws NOT_FOUND. */
  async sequence(id: string, caller: Caller): Promise<number> {
    const sequence = await ask(this.#options.sql, () => readSequence(this.#options.sql, id, caller));
    if (sequence === undefined) {
      throw noSuchJob(id);
    }
    return sequence;
  }

  /** Queued and running jobs of each model and version, by id. */
  modelLoads(): Promise<ReadonlyMap<string, ModelLoad>> {
    const { sql, models } = this.#options;
    return ask(sql, () => readModelLoads(sql, models));
  }

  /** Newest first. */
  async list(page: JobPage, caller: Caller): Promise<Job[]> {
    const rows = await ask(this.#options.sql, () => listJobs(this.#options.sql, page, caller));
    return this.#places.addTo(rows.map((row) => toJob(row, this.#options.keepSeconds)));
  }

  /** Usage of ended jobs, including deleted ones; see {@link readUsage}. */
  usage(query: UsageQuery, caller: Caller): Promise<UsageGroup[]> {
    return ask(this.#options.sql, () => readUsage(this.#options.sql, query, caller));
  }

  /** Cancels a job; does nothing if it is already cancelled. Throws NOT_FOUND or FAILED_PRECONDITION. */
  async cancel(id: string, caller: Caller): Promise<Job> {
    const { sql, objects, keepSeconds, log } = this.#options;
    await this.#read(id, caller);
    const found = await ask(sql, (signal) => cancelJob(sql, id, caller, signal));
    if (!found) {
      throw noSuchJob(id);
    }
    const job = toJob(found.row, keepSeconds);
    if (job.state !== 'cancelled') {
      throw wrongState(job, 'queued or running');
    }
    this.#runner.abort(id);
    if (found.cancelled) {
      noteEnd(job);
      log.info({ job: id, notice: true }, 'job cancelled');
    }
    if (found.cancelled && !found.owned) {
      await aMoment(() =>
        tidyObjects(sql, objects, id).catch((error) => warnUnlessAway(log, error, { job: id }, 'files are left')),
      );
    }
    return job;
  }

  /** Cancels a revoked key's jobs; returns how many. */
  cancelAllOfKey(keyId: string): Promise<number> {
    const { sql, objects } = this.#options;
    return cancelJobsOfKey(sql, objects, keyId);
  }

  /** Deletes a job and its files, cancelling it first if it is queued or running. Throws NOT_FOUND. */
  async delete(id: string, caller: Caller): Promise<void> {
    if (!isFinished(await this.#read(id, caller))) {
      await this.cancel(id, caller).catch((error: unknown) => {
        // It may have ended in the meantime.
        if (!(error instanceof FusionError && error.code === Status.FAILED_PRECONDITION)) {
          throw error;
        }
      });
    }
    if (!(await ask(this.#options.sql, () => markDeleted(this.#options.sql, id, caller)))) {
      throw noSuchJob(id);
    }
    await aMoment(() => this.#housekeeping.remove(id));
  }

  /**
   * A job's events after number `after`: each exactly once, in order, up to its last, however slow the reader. Throws
   * NOT_FOUND, INVALID_ARGUMENT if the job has not reached that number, and UNAVAILABLE when this gateway stops.
   */
  async *watch(id: string, after: number, caller: Caller, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const job = await this.#read(id, caller);
    if (after > job.revision) {
      throw invalidField('resume_token', after, `the number of an event of this job, at most ${job.revision}`);
    }
    for await (const event of this.#events.watch(job, after, signal)) {
      // Earlier events no longer have a place in the queue.
      yield event.number < job.revision ? event : { ...event, job: await this.#withPlace(event.job) };
    }
  }

  /**
   * Describes a file of a job. Throws NOT_FOUND, FAILED_PRECONDITION when the job has no such file (yet), and
   * INVALID_ARGUMENT for a frame beyond the last.
   */
  async findFile(id: string, name: JobFileName, caller: Caller): Promise<JobFile> {
    const job = await this.#read(id, caller);
    const file = typeof name === 'string' ? filesOf(job)[name] : await this.#frameFile(job, name.frame);
    if (!file) {
      throw noFile(job, typeof name === 'string' ? name : `frame ${name.frame}`);
    }
    return file;
  }

  /**
   * Opens a file of a job, or a range of its bytes (both ends inclusive). Throws like {@link findFile}, and DATA_LOSS
   * when the stored file is missing or has changed; the stream fails as {@link openVerified} describes.
   */
  async openFile(id: string, name: JobFileName, caller: Caller, range?: ByteRange): Promise<OpenedFile> {
    const { objects, log } = this.#options;
    const file = await this.findFile(id, name, caller);
    const stream = await openVerified(objects, file.key, file, range).catch(async (error) => {
      switch (error instanceof FusionError && error.reason) {
        case 'NO_SUCH_OBJECT':
          // NOT_FOUND if the job was deleted in the meantime.
          await this.findFile(id, name, caller);
          throw objectGone(file.key, error);
        case 'STORAGE_REFUSED':
          // FAILED_PRECONDITION would blame the caller.
          throw new FusionError(Status.INTERNAL, error.message, { reason: 'STORAGE_REFUSED', cause: error });
        default:
          throw error;
      }
    });
    stream.on('error', (error) =>
      log.error({ job: id, object: file.key, reason: error.message }, 'reading a file was interrupted'),
    );
    return { ...file, stream };
  }

  /**
   * Stops claiming jobs, gives running ones `graceSeconds` to finish, then releases them and ends every watch; all of it at
   * once if the database does not answer. Takes at most 5 s more than that.
   */
  async stop(graceSeconds: number): Promise<void> {
    await this.#runner.stop(graceSeconds);
    this.#endObservation();
    const ended = Promise.all([
      this.#events.close(!this.#runner.hasLostDatabase),
      this.#deadlines.stop(),
      this.#housekeeping.stop(),
      this.#replica.stop(!this.#runner.hasLostDatabase),
    ]);
    // The database may have just fallen silent, and nothing of this is lost without an answer.
    await aMoment(() => ended);
    await rm(this.#scratch, { recursive: true, force: true });
  }

  async #withPlace(job: Job): Promise<Job> {
    const [placed] = await this.#places.addTo([job]);
    return placed!;
  }

  async #frameFile(job: Job, frame: number): Promise<JobFile | undefined> {
    if (job.state !== 'succeeded') {
      return undefined;
    }
    if (!job.settings.keepFrames) {
      throw noSuchFile(`job ${job.id} kept no frames; create it with keep_frames`);
    }
    if (frame >= job.frames) {
      throw invalidField('frame', frame, `a whole number from 0 to ${job.frames - 1}`);
    }
    return ask(this.#options.sql, () => readFrameFile(this.#options.sql, job.id, frame));
  }
}

/** Waits for work, but not for long: the store or the database may have fallen silent. */
function aMoment(work: () => Promise<unknown>): Promise<unknown> {
  const milliseconds = Math.min(momentSeconds * 1000, currentPatience()?.left ?? Number.POSITIVE_INFINITY);
  return Promise.race([outsideRequest(work), pause(milliseconds, undefined, { ref: false })]);
}
