import { invalidField } from '../../services/kit/errors.ts';
import { snakeCase } from '../../services/kit/field-name.ts';
import { type JobStateName, wireJobStates } from '../../services/pipeline/job-states.ts';
import { jsonValue, listOptions, mapOptions, valueAt } from '../../services/pipeline/options.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { ModelObject as ApiModelObject } from '../api/http/model-routes.ts';
import type { UsageGroupObject } from '../api/http/usage-object.ts';
import type { VideoObject as ApiVideoObject } from '../api/http/video-object.ts';
import { requireTimes, wireOf } from './check-options.ts';
import type { Model, Settings, Usage, UsageGroup, Video } from './video.ts';
import type { ListOptions, NewVideo } from './video-client.ts';

/** The parts of a video in responses that are read here; the table of options parses its settings. */
export type VideoObject = Pick<
  ApiVideoObject,
  | 'id'
  | 'status'
  | 'size'
  | 'frames'
  | 'priority'
  | 'attempt'
  | 'stages'
  | 'files'
  | 'warnings'
  | 'created_at'
  | 'started_at'
  | 'completed_at'
  | 'expires_at'
> &
  Partial<Pick<ApiVideoObject, 'queue' | 'deadline' | 'pauses' | 'given_keyframes' | 'lora'>> & {
    model?: string;
    // From gateways of the previous release the code is the status, and the others are absent.
    error: ApiError | (Omit<ApiError, 'status'> & { status?: undefined; reason?: string }) | null;
    usage?: UsageObject;
    metadata?: ApiVideoObject['metadata'];
    remixed_from_video_id?: string | null;
  };

type UsageObject = ApiVideoObject['usage'];

type ApiError = NonNullable<ApiVideoObject['error']>;

/** The parts of a model in responses that are read here. */
export type ModelObject = Pick<ApiModelObject, 'id' | 'created' | 'description' | 'share' | 'status'> &
  Partial<Pick<ApiModelObject, 'lora'>>;

export function fromModelObject({ id, description, created, share, lora = [], status }: ModelObject): Model {
  const createdAt = dateOf(created || null);
  return { id, description, createdAt, share, lora, status: status === 'not_ready' ? 'not-ready' : status };
}

/** The body of a request. Throws INVALID_ARGUMENT for an option that HTTP does not have. */
export function toCreateBody(video: NewVideo): object {
  if (video.keepFrames) {
    throw invalidField('keepFrames', true, 'false over HTTP: single frames are available over gRPC only');
  }
  const { model, lora, priority, previews, metadata, inputReference, webhook, deadline } = video;
  requireTimes({ deadline });
  const { keepFrames: _, ...requested } = videoOptions;
  const options = listOptions(requested).map(({ option, path }) => [option.name, jsonValue(valueAt(video, path))]);
  return {
    ...Object.fromEntries(options),
    model,
    lora,
    priority,
    previews,
    metadata,
    webhook,
    deadline: deadline && Math.floor(deadline.getTime() / 1000),
    input_reference: inputReference && toReference(inputReference),
    keyframes: video.givenKeyframes && toKeyframes(video.givenKeyframes),
  };
}

function toReference(picture: NonNullable<NewVideo['inputReference']>): string | object {
  return picture instanceof Uint8Array ? toDataUrl(picture) : { video_id: picture.videoId, frame: picture.frame };
}

/** A video as callers see it. */
export function fromVideoObject(object: VideoObject): Video {
  const { id, frames, priority, attempt, stages, warnings, error } = object;
  const isCancelled = error?.code === 'cancelled';
  return {
    id,
    model: object.model ?? null,
    state: isCancelled ? 'cancelled' : states[object.status],
    settings: settingsOf(object),
    idempotencyKey: null,
    frames,
    givenKeyframes: object.given_keyframes ?? null,
    lora: object.lora ?? [],
    priority,
    attempt,
    pauses: object.pauses ?? 0,
    stages: stages.map((stage) => ({ ...stage, reused: stage.reused ?? false })),
    files: object.files.map(({ variant, media_type, ...rest }) => ({ file: variant, mediaType: media_type, ...rest })),
    warnings,
    metadata: object.metadata ?? {},
    remixedFrom: object.remixed_from_video_id ?? null,
    usage: object.usage ? fromUsage(object.usage) : null,
    failure:
      error && !isCancelled
        ? {
            code: (error.status ?? error.code).toUpperCase(),
            stage: error.stage,
            message: error.message,
            reason: (error.status === undefined ? (error.reason ?? error.code) : error.code).toUpperCase(),
            attempt: error.attempt,
          }
        : null,
    queue: object.queue
      ? {
          position: object.queue.position,
          startsAt: dateOf(object.queue.starts_at),
          readyAt: dateOf(object.queue.ready_at),
        }
      : null,
    deadline: dateOf(object.deadline ?? null),
    createdAt: dateOf(object.created_at),
    startedAt: dateOf(object.started_at),
    finishedAt: dateOf(object.completed_at),
    expiresAt: dateOf(object.expires_at),
  };
}

export function fromUsageGroupObject(object: UsageGroupObject): UsageGroup {
  const { group, name, completed, failed, cancelled, frames } = object;
  return { group, name: name ?? '', succeeded: completed, failed, cancelled, frames, ...fromUsage(object) };
}

function fromUsage({ seconds, stage_seconds, reused_stages, pixels }: UsageObject): Usage {
  return { seconds, stageSeconds: stage_seconds, reusedStages: reused_stages, pixels };
}

/** The query of a list. */
export function toListQuery({
  pageSize,
  state,
  model,
  metadata = {},
  createdAfter,
  createdBefore,
}: ListOptions): URLSearchParams {
  requireTimes({ createdAfter, createdBefore });
  const query = new URLSearchParams({
    limit: String(pageSize),
    ...(state !== undefined && { status: statusOf(state) }),
    ...(model !== undefined && { model }),
    ...(createdAfter && { created_after: createdAfter.toISOString() }),
    ...(createdBefore && { created_before: createdBefore.toISOString() }),
  });
  for (const [name, value] of Object.entries(metadata)) {
    query.set(`metadata[${name}]`, value);
  }
  return query;
}

/** A cancelled video is a failed one. */
function statusOf(state: JobStateName): string {
  wireOf('state', state, wireJobStates);
  return Object.entries(states).find(([, name]) => name === state)?.[0] ?? 'failed';
}

const states = { queued: 'queued', in_progress: 'running', completed: 'succeeded', failed: 'failed' } as const;

function settingsOf(object: VideoObject): Settings {
  const [width, height] = object.size.split('x').map(Number);
  const fields = { ...object, width, height };
  return mapOptions(videoOptions, (_, path) => valueAt(fields, path.map(snakeCase)) ?? null) as Settings;
}

function dateOf(seconds: number | null): Date | null {
  return seconds === null ? null : new Date(seconds * 1000);
}

function toKeyframes(given: NonNullable<NewVideo['givenKeyframes']>): object {
  return 'videoId' in given ? { video_id: given.videoId } : given.map(toDataUrl);
}

/** The gateway looks at the file to find out what it is. */
function toDataUrl(file: Uint8Array): string {
  return `data:application/octet-stream;base64,${Buffer.from(file).toString('base64')}`;
}
