import type { Video } from '../../gateway/client/video.ts';
import { invalidField } from '../../services/kit/errors.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { type StageName, stageNames, stages } from '../../services/pipeline/stages.ts';
import type { Measurements } from './measurements.ts';
import { measuredLoad, secondsAlone } from './stage-load.ts';

/**
 * A video's time in its stages outside their backends, seconds by model: sampling, transport, recording, writing files. Time
 * before and between the stages counts for the last one. Throws INVALID_ARGUMENT unless the video was made at the first
 * attempt.
 *
 * @param video one that had the mesh to itself
 */
export function outsideSeconds(preset: Preset, measured: Measurements, video: Video): Record<string, number> {
  if (video.state !== 'succeeded' || video.attempt !== 1) {
    throw invalidField('--video', video.id, 'a video that was made at the first attempt');
  }
  const spent = (stage: StageName) =>
    video.stages.filter((each) => each.stage === stage).reduce((sum, { seconds }) => sum + seconds, 0);
  const inStages = video.stages.reduce((sum, { seconds }) => sum + seconds, 0);
  const between = (video.finishedAt!.getTime() - video.createdAt!.getTime()) / 1000 - inStages;
  const alone = new Map(measuredLoad(preset, measured.video, measured).map((load) => [load.stage, secondsAlone(load)]));
  return Object.fromEntries(
    stageNames.map((name) => {
      const outside = spent(name) - (alone.get(name) ?? 0);
      return [stages[name].model, Math.max(0, name === stageNames.at(-1) ? outside + between : outside)];
    }),
  );
}
