import { setMaxListeners } from 'node:events';
import { Status } from 'nice-grpc-common';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';
import { keyframeEncoder } from '../../services/pipeline/keyframe-encoder.ts';
import { movqEncoderName } from '../../services/pipeline/networks/movq.ts';
import { ask } from '../database/ask.ts';
import { isDatabaseAway } from '../database/outage-log.ts';
import type { Caller } from '../keys/caller.ts';
import { requireWithinCaps } from '../keys/require-within-caps.ts';
import { modelId } from '../models/model-route.ts';
import { findEncoder } from '../stages/keyframes.ts';
import type { Deadlines } from './deadlines.ts';
import type { Housekeeping } from './housekeeping.ts';
import type { Job, NewJob, StoredWebhook, Webhook } from './job.ts';
import { outcomeUnknown } from './job-errors.ts';
import { moderatedPrompt, PromptChecks } from './moderate-prompt.ts';
import { type PlannedJob, planWork } from './planned-work.ts';
import type { QueuePlaces } from './queue/queue-places.ts';
import { type PreparedPicture, RequestPictures } from './request-pictures.ts';
import { requiredLevel } from './required-level.ts';
import {
  type CreatedRow,
  type CreateOptions,
  createJobs,
  findByClientId,
  type NameError,
  requireRoom,
  type StorableJob,
  unnamed,
} from './store/create-job.ts';
import { toJob } from './store/job-rows.ts';
import type { KeptResultsBounds } from './store/kept-results.ts';
import type { Retention } from './store/retention.ts';
import type { JobTools } from './work/job-worker.ts';

export interface JobCreationOptions
  extends Pick<JobTools, 'sql' | 'objects' | 'models' | 'useStages' | 'moderation' | 'watermark' | 'signer' | 'log'>,
    Pick<KeptResultsBounds, 'keepResultsSeconds'>,
    Pick<Retention, 'keepSeconds'> {
  /** See `VideoJobsOptions`. */
  maxQueuedJobs: number;
  sealWebhook(webhook: Webhook): Promise<StoredWebhook>;
  places: QueuePlaces;
  deadlines: Deadlines;
  housekeeping: Housekeeping;
}

/** Accepts jobs. */
export class JobCreation {
  readonly #options: JobCreationOptions;

  constructor(options: JobCreationOptions) {
    this.#options = options;
  }

  /**
   * Accepts jobs, all or none, which are stored when this resolves. Returns the existing job for a known client id and
   * fingerprint. Throws ALREADY_EXISTS (same client id, different fingerprint), RESOURCE_EXHAUSTED (the queue is full, a
   * budget is used, or too many others wait for moderation), PERMISSION_DENIED (beyond the limits of the caller's key),
   * INVALID_ARGUMENT (moderation refused a prompt, a picture cannot be used, or a deadline is past), NOT_FOUND (the video
   * of a picture), FAILED_PRECONDITION (a deadline cannot be met) or UNAVAILABLE (the database or the moderation service
   * is unavailable). After UNAVAILABLE no job exists, unless the reason is OUTCOME_UNKNOWN.
   *
   * @param signal the caller has gone: nothing is accepted any more
   * @param named names the place of a job in the error about it
   */
  async createAll(
    asked: readonly NewJob[],
    caller: Caller,
    signal: AbortSignal,
    named: NameError = unnamed,
  ): Promise<{ job: Job; replayed: boolean }[]> {
    const { keepSeconds, places, log } = this.#options;
    const forEach = <J, T>(jobs: readonly J[], work: (job: J) => T | Promise<T>) =>
      Promise.all(
        jobs.map(async (job, index) => {
          try {
            return await work(job);
          } catch (error) {
            throw named(error, index);
          }
        }),
      );
    const allowed = asked.map((job) => ({ ...job, priority: allowedPriority(job, caller) }));
    await forEach(allowed, (job) => requireWithinCaps(capped(job), caller.limits));
    const planned = await forEach(allowed, async (job) => ({
      ...job,
      ...(await planWork(job, caller, this.#options)),
    }));
    const judge = await this.#options.deadlines.judgeOf(planned, caller.keyId);
    const ended = new AbortController();
    const needed = AbortSignal.any([signal, ended.signal]);
    // A call of each job listens to it.
    setMaxListeners(0, needed);
    const pictures = new RequestPictures(this.#options, caller, needed);
    const { moderation } = this.#options;
    const prompts = moderation?.checksPrompts ? new PromptChecks(moderation, needed) : undefined;
    // Last, because prompts leave the process. All at once: a slow service must not take its time for each. After the
    // first that fails, the others are no longer needed.
    const checked = await forEach(planned, (job) => this.#check(job, { pictures, prompts }, caller)).finally(() =>
      ended.abort(),
    );
    signal.throwIfAborted();
    const stored = await this.#storePictures(checked, pictures);
    const created = await this.#create(stored, caller, { judge, named }, pictures);
    for (const { row } of created.filter(({ replayed }) => !replayed)) {
      log.info({ job: row.id, notice: true }, 'job created');
    }
    return Promise.all(
      created.map(async ({ row, replayed }) => {
        const [job] = await places.addTo([toJob(row, keepSeconds)]);
        return { job: job!, replayed };
      }),
    );
  }

  /** Makes a new job's picture and asks the moderation service, if there is one; nothing of that for a known job. */
  async #check(job: PlannedJob, { pictures, prompts }: RequestChecks, caller: Caller): Promise<CheckedJob> {
    const { sql, moderation, maxQueuedJobs } = this.#options;
    if (job.refusal || (!job.picture && !moderation)) {
      return { ...job, picture: undefined };
    }
    if (await ask(sql, () => findByClientId(sql, job, caller))) {
      return { ...job, picture: undefined, refusal: job.picture && justDeleted() };
    }
    await ask(sql, () => requireRoom(sql, caller, maxQueuedJobs));
    if (job.settings.givenKeyframes !== undefined) {
      await this.#requireEncoder(job);
    }
    const picture = await pictures.prepare(job);
    const asked = moderatedPrompt({ ...job, keyId: caller.keyId }, modelId(job));
    const warnings = [...((await prompts?.requireAllowed(asked, picture)) ?? []), ...this.#previewWarnings(job)];
    return { ...job, picture, warnings: [...job.warnings, ...(picture?.warnings ?? []), ...warnings] };
  }

  /** Throws INVALID_ARGUMENT if the model was built without the encoder of keyframes. */
  async #requireEncoder(job: NewJob): Promise<void> {
    const { models, useStages } = this.#options;
    const route = models.routeOf(job) ?? models.default;
    const { stages, release } = useStages(route);
    const encoder = await findEncoder(stages.keyframes).finally(release);
    // Without a replica that answers, the job waits for one, and fails if that has no encoder.
    if (encoder?.ready === false) {
      const { name } = keyframeEncoder(route.preset);
      const build = `fusionframes models build ${job.model}${name === movqEncoderName ? ' --encoder' : ''}`;
      throw invalidField(
        'keyframes',
        inWords('keyframes'),
        `absent: ${job.model} was built without ${name} (\`${build}\` builds it)`,
      );
    }
  }

  #previewWarnings({ previews }: NewJob): string[] {
    const isLate = previews && this.#options.moderation?.checksFrames;
    return isLate ? ['No previews: this gateway shows videos only after they have passed moderation'] : [];
  }

  async #storePictures(jobs: readonly CheckedJob[], pictures: RequestPictures) {
    try {
      return await Promise.all(
        jobs.map(async (job) => ({ ...job, picture: job.picture && (await pictures.store(job.picture)) })),
      );
    } catch (error) {
      await this.#options.housekeeping.removePictures(pictures.storedIds);
      throw error;
    }
  }

  async #create(
    jobs: readonly (Omit<PlannedJob, 'picture'> & Pick<StorableJob, 'picture'>)[],
    caller: Caller,
    options: Pick<CreateOptions, 'judge' | 'named'>,
    pictures: RequestPictures,
  ): Promise<CreatedRow[]> {
    const { sql, maxQueuedJobs, sealWebhook, housekeeping } = this.#options;
    let committing: readonly string[] = [];
    let unused = pictures.storedIds;
    const onCommit = (ids: readonly string[]) => void (committing = ids);
    try {
      const created = await ask(sql, async (signal) => {
        const storable = jobs.map(async (job) => ({
          ...job,
          webhook: job.webhook && (await sealWebhook(job.webhook)),
          requiredLevel: requiredLevel(job, this.#options),
        }));
        return createJobs(sql, await Promise.all(storable), caller, maxQueuedJobs, { signal, ...options, onCommit });
      });
      unused = unused.filter((id) => created.every(({ row }) => row.picture?.id !== id));
      return created;
    } catch (error) {
      throw committing.length > 0 && isDatabaseAway(error) ? outcomeUnknown(committing.join(', '), error) : error;
    } finally {
      await housekeeping.removePictures(unused);
    }
  }
}

/** What the jobs of one request share while they are checked. */
interface RequestChecks {
  pictures: RequestPictures;
  /** Absent if prompts are not moderated. */
  prompts: PromptChecks | undefined;
}

/** A job whose picture is made and whose prompt may be used. */
type CheckedJob = Omit<PlannedJob, 'picture'> & { picture: PreparedPicture | undefined };

/** For a job that was known but no longer is, so that its picture was not made. */
function justDeleted(): FusionError {
  return new FusionError(Status.UNAVAILABLE, 'The job of this `client_id` was just deleted; try again', {
    field: 'client_id',
  });
}

function allowedPriority(
  { priority, isPriorityGiven }: NewJob,
  { limits: { maxPriority = priority } }: Caller,
): number {
  return isPriorityGiven ? priority : Math.min(priority, maxPriority);
}

function capped({ settings: { keyframes, interpolation }, frames, priority }: NewJob) {
  return { keyframeSteps: keyframes.steps, interpolationSteps: interpolation.steps, frames, priority };
}
