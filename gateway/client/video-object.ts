import { invalidField } from '../../services/kit/errors.ts';
import { snakeCase } from '../../services/kit/field-name.ts';
import { jsonValue, listOptions, mapOptions, valueAt } from '../../services/pipeline/options.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { FileInfo, Settings, StageProgress, Video, VideoFailure } from './video.ts';
import type { NewVideo } from './video-client.ts';

/** A video in responses of the HTTP API; its settings are parsed by the table of options. */
export interface VideoObject {
  id: string;
  status: 'queued' | 'in_progress' | 'completed' | 'failed';
  size: string;
  frames: number;
  priority: number;
  attempt: number;
  stages: StageProgress[];
  files: { variant: FileInfo['file']; media_type: string; bytes: number; sha256: string }[];
  warnings: string[];
  error: { code: string; reason?: string; message: string; stage: VideoFailure['stage']; attempt: number } | null;
  /** Seconds since 1970. */
  created_at: number;
  started_at: number | null;
  completed_at: number | null;
  expires_at: number | null;
}

/** The body of a request. Throws INVALID_ARGUMENT for an option that HTTP does not have. */
export function toCreateBody(video: NewVideo): object {
  if (video.keepFrames) {
    throw invalidField('keepFrames', true, 'false over HTTP: single frames come over gRPC only');
  }
  const { priority, previews, webhook } = video;
  const { keepFrames: _, ...requested } = videoOptions;
  const options = listOptions(requested).map(({ option, path }) => [option.name, jsonValue(valueAt(video, path))]);
  return { ...Object.fromEntries(options), priority, previews, webhook };
}

/** A video as callers see it. */
export function fromVideoObject(object: VideoObject): Video {
  const { id, frames, priority, attempt, stages, warnings, error } = object;
  const isCancelled = error?.code === 'cancelled';
  return {
    id,
    state: isCancelled ? 'cancelled' : states[object.status],
    settings: settingsOf(object),
    idempotencyKey: null,
    frames,
    priority,
    attempt,
    stages,
    files: object.files.map(({ variant, media_type, ...rest }) => ({ file: variant, mediaType: media_type, ...rest })),
    warnings,
    failure:
      error && !isCancelled
        ? {
            code: error.code.toUpperCase(),
            stage: error.stage,
            message: error.message,
            // Absent from gateways of earlier releases.
            reason: (error.reason ?? error.code).toUpperCase(),
            attempt: error.attempt,
          }
        : null,
    createdAt: dateOf(object.created_at),
    startedAt: dateOf(object.started_at),
    finishedAt: dateOf(object.completed_at),
    expiresAt: dateOf(object.expires_at),
  };
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
