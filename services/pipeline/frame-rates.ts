import { FrameRate } from '../../proto/gen/fusionframes/v1/video.ts';
import { type FrameRateName, frameRateNames } from './preset.ts';

const wireFrameRates: Record<FrameRateName, FrameRate> = {
  low: FrameRate.FRAME_RATE_LOW,
  medium: FrameRate.FRAME_RATE_MEDIUM,
  high: FrameRate.FRAME_RATE_HIGH,
};

/** The contract's number for a frame rate. */
export function toWireFrameRate(name: FrameRateName): FrameRate {
  return wireFrameRates[name];
}

/** The name of the contract's number; none for one that is unspecified or unknown. */
export function frameRateName(wire: FrameRate): FrameRateName | undefined {
  return frameRateNames.find((name) => wireFrameRates[name] === wire);
}
