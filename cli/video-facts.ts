import type { Video } from '../gateway/client/video.ts';
import { stageLabel } from './progress.ts';

/** A job as JSON: 64-bit numbers as text, times as ISO 8601, `null` for missing values. */
export function videoFacts({ idempotencyKey, ...video }: Video) {
  const { stages, failure } = video;
  return {
    ...video,
    clientId: idempotencyKey,
    stages: stages.map((progress) => ({ ...progress, stage: stageLabel(progress.stage) })),
    failure: failure && { ...failure, stage: failure.stage === null ? '' : stageLabel(failure.stage) },
  };
}
