import { z } from 'zod';
import { namedFiles } from '../../../services/pipeline/job-files.ts';
import type { Preset } from '../../../services/pipeline/preset.ts';
import { stageNames } from '../../../services/pipeline/stages.ts';
import { videoFaults } from '../../../services/pipeline/video-faults.ts';
import { isFinished, type Job, type JobFailure } from '../../jobs/job.ts';
import { filesOf } from '../../jobs/job-files.ts';
import type { QueuePlace } from '../../jobs/queue/queue-place.ts';
import { stageSeconds, toMilliseconds, totalSeconds } from '../../jobs/stage-seconds.ts';
import { framesOf, framesToProcess, type LengthSettings, workSettings } from '../../jobs/video-work.ts';
import type { Models } from '../../models/models.ts';
import { seconds } from './formats.ts';
import { mergedLoras } from './lora-fields.ts';
import { responseFields, responseOptions, responseValues } from './option-fields.ts';
import { stageSecondsObject, toStageSecondsObject } from './stage-seconds-object.ts';

const time = z.int().describe('Seconds since 1970.');

/** A video in responses. */
export const videoObject = z
  .strictObject({
    id: z.string(),
    object: z.literal('video'),
    model: z.string().describe('Id of the model that makes it, with its version if there are several.'),
    status: z
      .enum(['queued', 'in_progress', 'completed', 'failed'])
      .describe('A cancelled video is failed, with the error code `cancelled`.'),
    progress: z.int().min(0).max(100).describe('Percentage of the work done; 100 only once completed.'),
    created_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable().describe('When it ended, whether completed or failed, in seconds since 1970.'),
    expires_at: time
      .nullable()
      .describe(
        'When it will be deleted, in seconds since 1970; set once it has ended. It is deleted earlier if the API key has more finished videos than are kept.',
      ),
    deadline: time.nullable().describe('It fails if it is not completed by this time, in seconds since 1970.'),
    queue: z
      .strictObject({
        position: z.int().min(0).describe('1: it starts next; 0: it is in progress.'),
        starts_at: time.nullable().describe('When it will start, or has started, in seconds since 1970.'),
        ready_at: time.nullable().describe('When it will be completed, in seconds since 1970.'),
      })
      .nullable()
      .describe(
        'Where it is in the queue, until it has ended. The times are estimates, null until a video has been made.',
      ),
    ...responseFields(responseOptions),
    size: z
      .string()
      .regex(/^\d+x\d+$/)
      .describe('Width x height in pixels.'),
    seconds: z.string().describe('Length of the video in seconds.'),
    frames: z.int().min(1).describe('Number of frames.'),
    given_keyframes: z
      .int()
      .min(2)
      .nullable()
      .describe('How many keyframes its creator gave; null: none, the network made them.'),
    lora: mergedLoras.describe('What is merged into the weights of the version that makes it.'),
    priority: z.int().min(-100).max(100),
    attempt: z.int().min(0).describe('Number of attempts.'),
    pauses: z
      .int()
      .min(0)
      .describe(
        'How often it was paused to make room for another video. A queued video that was paused continues where it stopped.',
      ),
    stages: z
      .array(
        z.strictObject({
          stage: z.enum(stageNames),
          step: z.int().min(0).describe('Steps done; for the decoder, frames.'),
          total: z.int().min(0),
          seconds: z.number().min(0),
          waiting: z.boolean().describe('The video is waiting because the stage has no replica at present.'),
          reused: z.boolean().describe('The result was that of another video of the same key: the stage did not run.'),
        }),
      )
      .describe('The stages started so far, in order; one entry per interpolation pass.'),
    reused: z
      .array(z.enum(stageNames))
      .describe('The stages that did not run because another video of the same key had their result.'),
    files: z
      .array(
        z.strictObject({
          variant: z.enum(namedFiles),
          media_type: z.string(),
          bytes: z.int().min(0),
          sha256: z.string().regex(/^[0-9a-f]{64}$/),
        }),
      )
      .describe('Files that can be downloaded now.'),
    warnings: z.array(z.string()),
    usage: z
      .strictObject({
        seconds: z.number().min(0).describe('Time in the stages, in attempts that failed too.'),
        stage_seconds: stageSecondsObject,
        reused_stages: z
          .int()
          .min(0)
          .describe('Stages that the last attempt did not run: finished by an earlier one, or reused.'),
        pixels: z.int().min(0).describe('Pixels of all frames; 0 until the video is finished.'),
      })
      .describe('Its usage so far; /v1/usage counts it once the video has ended.'),
    metadata: z.record(z.string(), z.string()).describe("The creator's own labels."),
    remixed_from_video_id: z
      .string()
      .nullable()
      .describe('The video whose settings and seed it repeats with another prompt or frame rate.'),
    error: z
      .strictObject({
        code: z
          .string()
          .describe(
            `Kind of fault: \`cancelled\`, ${Object.keys(videoFaults).map(inCode).join(', ')}; else as \`status\`.`,
          ),
        status: z.string().describe('Status of the failure, such as `internal`.'),
        message: z.string(),
        stage: z.enum(stageNames).nullable(),
        attempt: z.int().min(0),
      })
      .nullable(),
  })
  .describe('A video: the job that makes it, and its result.');

export type VideoObject = z.infer<typeof videoObject>;

export const videoList = z.strictObject({
  object: z.literal('list'),
  data: z.array(videoObject),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

export type VideoList = z.infer<typeof videoList>;

function inCode(reason: string): string {
  return `\`${reason.toLowerCase()}\``;
}

/** Length of a video in seconds, rounded to milliseconds. */
export function videoSeconds(preset: Preset, settings: LengthSettings): string {
  return String(Math.round((1000 * framesOf(settings, preset)) / preset.playbackRate[settings.frameRate]) / 1000);
}

/** Converts a job to its HTTP form. */
export function toVideoObject(job: Job, models: Models): VideoObject {
  const { settings } = job;
  const preset = models.presetOf(job);
  const files = filesOf(job);
  return {
    id: job.id,
    object: 'video',
    model: models.idOf(job),
    status: statuses[job.state],
    progress: progress(job, preset),
    created_at: seconds(job.createdAt),
    started_at: job.startedAt ? seconds(job.startedAt) : null,
    completed_at: job.finishedAt ? seconds(job.finishedAt) : null,
    expires_at: job.expiresAt ? seconds(job.expiresAt) : null,
    deadline: job.deadline ? seconds(job.deadline) : null,
    queue: job.queue ? toPlace(job.queue) : null,
    ...responseValues(responseOptions, settings),
    size: `${settings.width}x${settings.height}`,
    seconds: videoSeconds(preset, settings),
    frames: framesOf(settings, preset),
    given_keyframes: settings.givenKeyframes ?? null,
    lora: [...(settings.loras ?? [])],
    priority: job.priority,
    attempt: job.attempt,
    pauses: job.pauses,
    stages: job.stages.map(({ stage, step, total, seconds, waiting = false, reused = false }) => ({
      stage,
      step,
      total,
      seconds: toMilliseconds(seconds),
      waiting,
      reused,
    })),
    reused: job.stages.filter(({ reused }) => reused).map(({ stage }) => stage),
    files: namedFiles.flatMap((variant) => {
      const file = files[variant];
      return file ? [{ variant, media_type: file.mediaType, bytes: file.bytes, sha256: file.sha256 }] : [];
    }),
    warnings: [...job.warnings],
    usage: toUsage(job),
    metadata: { ...job.metadata },
    remixed_from_video_id: job.remixOf || null,
    error: toError(job),
  };
}

function toUsage(job: Job): VideoObject['usage'] {
  const seconds = stageSeconds(job);
  return {
    seconds: totalSeconds(seconds),
    stage_seconds: toStageSecondsObject(seconds),
    reused_stages: job.reusedStages,
    pixels: job.frames * job.settings.width * job.settings.height,
  };
}

function toPlace({ position, startsAt, readyAt }: QueuePlace): VideoObject['queue'] {
  return { position, starts_at: startsAt ? seconds(startsAt) : null, ready_at: readyAt ? seconds(readyAt) : null };
}

const statuses: Record<Job['state'], VideoObject['status']> = {
  queued: 'queued',
  running: 'in_progress',
  succeeded: 'completed',
  failed: 'failed',
  cancelled: 'failed',
};

function toError({ state, failure, attempt }: Job): VideoObject['error'] {
  if (state === 'cancelled') {
    return { code: 'cancelled', status: 'cancelled', message: 'The video was cancelled', stage: null, attempt };
  }
  return failure ? fromFailure(failure) : null;
}

function fromFailure(failure: JobFailure): NonNullable<VideoObject['error']> {
  const { code, reason, message, stage, attempt } = failure;
  return {
    code: reason.toLowerCase(),
    status: code.toLowerCase(),
    message,
    stage: stage ?? null,
    attempt,
  };
}

/** Progress in percent, by {@link framesToProcess}. */
function progress(job: Job, preset: Preset): number {
  if (isFinished(job)) {
    return job.state === 'succeeded' ? 100 : Math.floor(done(job, preset));
  }
  return Math.min(99, Math.floor(done(job, preset)));
}

function done(job: Job, preset: Preset): number {
  const { stages } = job;
  const shares = framesToProcess(workSettings(job), preset);
  const all = shares.reduce((sum, share) => sum + share, 0);
  const finished = stages.reduce(
    (sum, { step, total }, index) => sum + (shares[index] ?? 0) * (step / Math.max(1, total)),
    0,
  );
  return (100 * finished) / all;
}

/** The path parameter that names a video. */
export const videoId = z.strictObject({ id: z.string().describe('Id of a video.') });
