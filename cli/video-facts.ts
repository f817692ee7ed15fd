import { type JobSettings, videoOptions } from '../gateway/options/video-options.ts';
import { JobState, type Video, VideoFile, type VideoSettings } from '../proto/gen/fusionframes/v1/video.ts';
import type { Told } from '../services/kit/values.ts';
import { mapOptions, tellValue, valueAt, wireName } from '../services/pipeline/options.ts';
import { stageName } from './progress.ts';

const stateNames: Partial<Record<JobState, string>> = {
  [JobState.JOB_STATE_QUEUED]: 'queued',
  [JobState.JOB_STATE_RUNNING]: 'running',
  [JobState.JOB_STATE_SUCCEEDED]: 'succeeded',
  [JobState.JOB_STATE_FAILED]: 'failed',
  [JobState.JOB_STATE_CANCELLED]: 'cancelled',
};

const fileNames: Partial<Record<VideoFile, string>> = {
  [VideoFile.VIDEO_FILE_VIDEO]: 'video',
  [VideoFile.VIDEO_FILE_STORYBOARD]: 'storyboard',
  [VideoFile.VIDEO_FILE_THUMBNAIL]: 'thumbnail',
  [VideoFile.VIDEO_FILE_SPRITESHEET]: 'spritesheet',
  [VideoFile.VIDEO_FILE_PREVIEW]: 'preview',
};

/** The state of a job in a word; that of a newer gateway's is `unknown`. */
export function stateName(state: JobState): string {
  return stateNames[state] ?? 'unknown';
}

/** What is known of a job, as JSON: numbers of 64 bits as text, times as ISO 8601, `null` for what is not there. */
export function videoFacts(video: Video) {
  const { settings, failure, stages, files, id, clientId, priority, attempt, frames, warnings } = video;
  return {
    id,
    clientId,
    state: stateName(video.state),
    settings: settings && settingsFacts(settings),
    priority,
    attempt,
    stages: stages.map(({ stage, step, total, seconds, waiting }) => ({
      stage: stageName(stage),
      step,
      total,
      seconds,
      waiting,
    })),
    files: files.map(({ file, mediaType, bytes, sha256 }) => ({
      file: fileNames[file] ?? 'unknown',
      mediaType,
      bytes: Number(bytes),
      sha256,
    })),
    frames,
    warnings,
    failure: failure ? { ...failure, stage: stageName(failure.stage) } : null,
    createdAt: video.createdAt ?? null,
    startedAt: video.startedAt ?? null,
    finishedAt: video.finishedAt ?? null,
    expiresAt: video.expiresAt ?? null,
  };
}

type Facts<V> = { [K in keyof V]: V[K] extends object ? Facts<V[K]> : Told<V[K]> | null };

/** `null` for what only a newer gateway knows. */
function settingsFacts(settings: VideoSettings): Facts<JobSettings> {
  return mapOptions(videoOptions, ({ wire }, path) => {
    const value = valueAt(settings, path);
    return (wire ? wireName(wire, value) : tellValue(value)) ?? null;
  }) as Facts<JobSettings>;
}
