import { FrameRate } from '../../proto/gen/fusionframes/v1/video.ts';
import { type FrameRateName, frameRateNames, interpolationPasses, type Preset } from './preset.ts';

/** Frame rates and their numbers in the contract. */
export const wireFrameRates: Record<FrameRateName, FrameRate> = {
  low: FrameRate.FRAME_RATE_LOW,
  medium: FrameRate.FRAME_RATE_MEDIUM,
  high: FrameRate.FRAME_RATE_HIGH,
};

/** The frame rates for which a preset has interpolation passes, lowest first. */
export function offeredFrameRates({ interpolation }: Preset): FrameRateName[] {
  return frameRateNames.filter((name) => interpolationPasses(name) <= interpolation.skips.length);
}
