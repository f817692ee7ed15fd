import {
  type FileInfo,
  Stage,
  type StageUsage,
  type Usage,
  type Video,
  VideoSettings,
  type JobFailure as WireFailure,
  type UsageGroup as WireGroup,
} from '../../proto/gen/fusionframes/v1/video.ts';
import { namedFiles, wireJobFiles } from '../../services/pipeline/job-files.ts';
import { wireJobStates } from '../../services/pipeline/job-states.ts';
import { toMessage } from '../../services/pipeline/options.ts';
import { stageNames, stages as stageTable } from '../../services/pipeline/stages.ts';
import type { UsageGroup } from '../../services/pipeline/usage-groups.ts';
import { videoOptions } from '../../services/pipeline/video-options.ts';
import type { Job, JobFailure } from '../jobs/job.ts';
import { filesOf } from '../jobs/job-files.ts';
import {
  type StageSeconds,
  stageSeconds,
  toMicroseconds,
  toMilliseconds,
  totalSeconds,
} from '../jobs/stage-seconds.ts';
import type { Models } from '../models/models.ts';

/** Converts a job to the contract's message. */
export function toVideo(job: Job, models: Models): Video {
  const { id, clientId, state, attempt, priority, settings, stages, warnings, failure, frames } = job;
  const { createdAt, startedAt, finishedAt, expiresAt, deadline, queue, pauses } = job;
  return {
    id,
    clientId,
    model: models.idOf(job),
    state: wireJobStates[state],
    attempt,
    pauses,
    priority,
    settings: VideoSettings.fromPartial(toMessage(videoOptions, settings)),
    stages: stages.map((progress) => ({
      ...progress,
      stage: stageTable[progress.stage].wire,
      seconds: toMilliseconds(progress.seconds),
      waiting: progress.waiting ?? false,
      reused: progress.reused ?? false,
    })),
    failure: failure && toFailure(failure),
    createdAt,
    startedAt,
    finishedAt,
    expiresAt,
    deadline,
    queue: queue && { startsAt: undefined, readyAt: undefined, ...queue },
    frames,
    givenKeyframes: settings.givenKeyframes ?? 0,
    lora: [...(settings.loras ?? [])],
    files: toFiles(filesOf(job)),
    warnings: [...warnings],
    usage: toUsage(job),
    metadata: new Map(Object.entries(job.metadata)),
    remixedFrom: job.remixOf,
  };
}

function toUsage(job: Job): Usage {
  const seconds = stageSeconds(job);
  return {
    seconds: totalSeconds(seconds),
    stages: toStageUsage(seconds),
    reusedStages: BigInt(job.reusedStages),
    frames: BigInt(job.frames),
    pixels: BigInt(job.frames * job.settings.width * job.settings.height),
  };
}

/** In pipeline order, without stages that took no time. */
function toStageUsage(seconds: StageSeconds): StageUsage[] {
  return stageNames.flatMap((name) => {
    const spent = seconds[name];
    return spent === undefined ? [] : [{ stage: stageTable[name].wire, seconds: toMicroseconds(spent) }];
  });
}

export function toUsageGroup({ seconds, stageSeconds, reusedStages, frames, pixels, ...group }: UsageGroup): WireGroup {
  return {
    ...group,
    usage: {
      seconds,
      stages: toStageUsage(stageSeconds),
      reusedStages: BigInt(reusedStages),
      frames: BigInt(frames),
      pixels: BigInt(pixels),
    },
  };
}

/** The contract's `reason` is the message; its `error_reason`, added later, the reason. */
function toFailure({ code, stage, message, reason, attempt }: JobFailure): WireFailure {
  const wire = stage ? stageTable[stage].wire : Stage.STAGE_UNSPECIFIED;
  return { code, stage: wire, reason: message, errorReason: reason, attempt };
}

/** In order of their numbers. */
function toFiles(files: ReturnType<typeof filesOf>): FileInfo[] {
  return namedFiles
    .flatMap((name) => {
      const file = files[name];
      return file ? [{ ...file, file: wireJobFiles[name], bytes: BigInt(file.bytes) }] : [];
    })
    .sort((a, b) => a.file - b.file);
}
