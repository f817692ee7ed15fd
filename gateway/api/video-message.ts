import {
  type FileInfo,
  JobState,
  Stage,
  type Video,
  VideoFile,
  VideoSettings,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { toMessage } from '../../services/pipeline/options.ts';
import { stages as stageTable } from '../../services/pipeline/stages.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { Job, JobState as JobStateName, NamedFile } from '../jobs/job.ts';

const stateMessages: Record<JobStateName, JobState> = {
  queued: JobState.JOB_STATE_QUEUED,
  running: JobState.JOB_STATE_RUNNING,
  succeeded: JobState.JOB_STATE_SUCCEEDED,
  failed: JobState.JOB_STATE_FAILED,
  cancelled: JobState.JOB_STATE_CANCELLED,
};

export const fileMessages: Record<NamedFile, VideoFile> = {
  video: VideoFile.VIDEO_FILE_VIDEO,
  thumbnail: VideoFile.VIDEO_FILE_THUMBNAIL,
  spritesheet: VideoFile.VIDEO_FILE_SPRITESHEET,
  storyboard: VideoFile.VIDEO_FILE_STORYBOARD,
  preview: VideoFile.VIDEO_FILE_PREVIEW,
};

/** A job as the contract describes it. */
export function toVideo(job: Job): Video {
  const { id, clientId, state, attempt, priority, settings, stages, warnings, failure, files, frames } = job;
  const { createdAt, startedAt, finishedAt, expiresAt } = job;
  return {
    id,
    clientId,
    state: stateMessages[state],
    attempt,
    priority,
    settings: VideoSettings.fromPartial(toMessage(videoOptions, settings)),
    stages: stages.map((progress) => ({
      ...progress,
      stage: stageTable[progress.stage].wire,
      waiting: progress.waiting ?? false,
    })),
    failure: failure && {
      ...failure,
      errorReason: failure.errorReason ?? failure.code,
      stage: failure.stage ? stageTable[failure.stage].wire : Stage.STAGE_UNSPECIFIED,
    },
    createdAt,
    startedAt,
    finishedAt,
    expiresAt,
    frames,
    files: toFiles(files),
    warnings: [...warnings],
  };
}

/** In the order of their numbers. */
function toFiles(files: Job['files']): FileInfo[] {
  return (Object.keys(fileMessages) as NamedFile[])
    .flatMap((name) => {
      const file = files[name];
      return file ? [{ ...file, file: fileMessages[name], bytes: BigInt(file.bytes) }] : [];
    })
    .sort((a, b) => a.file - b.file);
}
