import { type FrameRateName, interpolationPasses } from '../../services/pipeline/preset.ts';

export const keyframesResult = 'keyframes';

/** Names of a video's results that other videos may use, in the order in which they are made. */
export function resultNames(frameRate: FrameRateName): [keyframes: string, ...passes: string[]] {
  const passes = Array.from({ length: interpolationPasses(frameRate) }, (_, pass) => `interpolation-${pass + 1}`);
  return [keyframesResult, ...passes];
}
