import { FrameRate } from '../../proto/gen/fusionframes/v1/video.ts';
import { type FrameRateName, frameRateNames, interpolationPasses, type Preset } from './preset.ts';

/** The contract's numbers of frame rates. */
export const wireFrameRates: Record<FrameRateName, FrameRate> = {
  low: FrameRate.FRAME_RATE_LOW,
  medium: FrameRate.FRAME_RATE_MEDIUM,
  high: FrameRate.FRAME_RATE_HIGH,
};

/** The frame rates that a preset has interpolation passes for, the lowest first. */
export function offeredFrameRates({ interpolation }: Preset): FrameRateName[] {
  return frameRateNames.filter((name) => interpolationPasses(name) <= interpolation.skips.length);
}
