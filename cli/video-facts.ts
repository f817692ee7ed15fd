import type { Sampling } from '../proto/gen/fusionframes/v1/tensor.ts';
import { JobState, type Video, VideoFile, VideoFormat } from '../proto/gen/fusionframes/v1/video.ts';
import { frameRateName } from '../services/pipeline/frame-rates.ts';
import { samplerName } from '../services/pipeline/sampling.ts';
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
    settings: settings && {
      prompt: settings.prompt,
      negativePrompt: settings.negativePrompt,
      seed: String(settings.seed),
      frameRate: frameRateName(settings.frameRate) ?? null,
      width: settings.width,
      height: settings.height,
      keyframes: samplingFacts(settings.keyframes),
      interpolation: samplingFacts(settings.interpolation),
      format: settings.format === VideoFormat.VIDEO_FORMAT_WEBP ? 'webp' : 'mp4',
      keepFrames: settings.keepFrames,
    },
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

function samplingFacts(sampling: Sampling | undefined) {
  return {
    sampler: (sampling && samplerName(sampling.sampler)) ?? null,
    steps: sampling?.steps ?? null,
    guidanceScale: sampling?.guidanceScale ?? null,
  };
}
