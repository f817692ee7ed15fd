import { fromVideoMessage, stateOf } from '../gateway/client/video-message.ts';
import type { Video } from '../proto/gen/fusionframes/v1/video.ts';
import { stages } from '../services/pipeline/stages.ts';

export { stateOf as stateName };

/** A job as JSON: 64-bit numbers as text, times as ISO 8601, `null` for missing values. */
export function videoFacts(message: Video) {
  const video = fromVideoMessage(message);
  const label = (stage: keyof typeof stages | 'unknown' | null) =>
    stage === null ? '' : stage === 'unknown' ? 'stage' : stages[stage].label;
  return {
    ...video,
    clientId: message.clientId,
    frames: message.frames,
    stages: video.stages.map((progress) => ({ ...progress, stage: label(progress.stage) })),
    failure: video.failure && { ...video.failure, stage: label(video.failure.stage) },
  };
}
