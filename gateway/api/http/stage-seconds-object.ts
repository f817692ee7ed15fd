import { z } from 'zod';
import { stageNames } from '../../../services/pipeline/stages.ts';
import { type StageSeconds, toMicroseconds } from '../../jobs/stage-seconds.ts';

/** Seconds per stage, for every stage. */
export const stageSecondsObject = z.strictObject(
  Object.fromEntries(stageNames.map((name) => [name, z.number().min(0)])) as Record<
    (typeof stageNames)[number],
    z.ZodNumber
  >,
);

export function toStageSecondsObject(seconds: StageSeconds): z.infer<typeof stageSecondsObject> {
  return Object.fromEntries(stageNames.map((name) => [name, toMicroseconds(seconds[name] ?? 0)])) as z.infer<
    typeof stageSecondsObject
  >;
}
