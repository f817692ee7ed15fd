import { choices, invalidField } from '../../../services/kit/errors.ts';
import { offeredFrameRates } from '../../../services/pipeline/frame-rates.ts';
import { type FrameRateName, frameCount, type Preset } from '../../../services/pipeline/preset.ts';
import { videoSeconds } from './video-object.ts';

/** What of a request says how many frames its video has, by the names of its fields. */
export interface FrameRateWish {
  frame_rate?: FrameRateName | null | undefined;
  num_frames?: number | null | undefined;
  fps?: number | null | undefined;
  seconds?: number | null | undefined;
}

/**
 * The frame rate that a request names, or gives by its videos' frames, speed or length; none when it says nothing. Of
 * several it is the preset's default, else the one with the fewest frames. Throws INVALID_ARGUMENT naming the first field
 * that no frame rate fits which the fields before it leave.
 */
export function chooseFrameRate(wish: FrameRateWish, preset: Preset): FrameRateName | undefined {
  const facts: { [field in keyof FrameRateWish]-?: (name: FrameRateName) => string | number } = {
    frame_rate: (name) => name,
    num_frames: (name) => frameCount(preset, name),
    fps: (name) => preset.playbackRate[name],
    seconds: (name) => Number(videoSeconds(preset, name)),
  };
  let left = offeredFrameRates(preset);
  let isNamed = false;
  for (const [field, fact] of Object.entries(facts)) {
    const given = wish[field as keyof FrameRateWish] ?? undefined;
    if (given === undefined) {
      continue;
    }
    const fitting = left.filter((name) => fact(name) === given);
    if (fitting.length === 0) {
      const named = (name: FrameRateName) => (field === 'frame_rate' ? name : `${fact(name)} (frame rate ${name})`);
      throw invalidField(field, given, choices(left.map(named)));
    }
    left = fitting;
    isNamed = true;
  }
  if (!isNamed) {
    return undefined;
  }
  return left.find((name) => name === preset.defaultFrameRate) ?? left[0];
}
