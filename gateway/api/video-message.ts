import { JobState, Stage, type Video, VideoFormat } from '../../proto/gen/fusionframes/v1/video.ts';
import { toWireFrameRate } from '../../services/kit/frame-rates.ts';
import { type ResolvedSampling, toWireSampler } from '../../services/kit/sampling.ts';
import type { Job, JobSettings, JobState as JobStateName, StageName } from '../jobs/job.ts';

export const formatMessages: Record<JobSettings['format'], VideoFormat> = {
  mp4: VideoFormat.VIDEO_FORMAT_MP4,
  webp: VideoFormat.VIDEO_FORMAT_WEBP,
};

const stateMessages: Record<JobStateName, JobState> = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
};

const stageMessages: Record<StageName, Stage> = {
  'text-encoder': Stage.STAGE_TEXT_ENCODER,
  keyframes: Stage.STAGE_KEYFRAMES,
  interpolation: Stage.STAGE_INTERPOLATION,
  decoder: Stage.STAGE_DECODER,
};

/** A job as the contract describes it. */
export function toVideo(job: Job): Video {
  const { id, state, settings, stages, warnings, failure, createdAt, finishedAt, frames, fileBytes } = job;
  return {
    id,
    state: stateMessages[state],
    settings: {
      ...settings,
      frameRate: toWireFrameRate(settings.frameRate),
      keyframes: toSampling(settings.keyframes),
      interpolation: toSampling(settings.interpolation),
      format: formatMessages[settings.format],
    },
    stages: stages.map((progress) => ({ ...progress, stage: stageMessages[progress.stage] })),
    failure: failure && {
      ...failure,
      stage: failure.stage ? stageMessages[failure.stage] : Stage.STAGE_UNSPECIFIED,
    },
    createdAt,
    finishedAt,
    frames,
    fileBytes: BigInt(fileBytes),
    warnings: [...warnings],
  };
}

function toSampling({ sampler, steps, guidanceScale }: ResolvedSampling) {
  return { sampler: toWireSampler(sampler), steps, guidanceScale };
}
