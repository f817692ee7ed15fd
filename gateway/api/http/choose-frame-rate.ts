import { choices, invalidField } from '../../../services/kit/errors.ts';
import { offeredFrameRates } from '../../../services/pipeline/frame-rates.ts';
import { type FrameRateName, frameCount, type Preset } from '../../../services/pipeline/preset.ts';
import { videoSeconds } from './video-object.ts';

/** Request fields that determine the number of frames. */
export interface FrameRateFields {
  frame_rate?: FrameRateName | null | undefined;
  num_frames?: number | null | undefined;
  fps?: number | null | undefined;
  seconds?: number | null | undefined;
}

/**
 * The frame rate that a request selects by name, frame count, playback rate or length; undefined if it gives none. If
 * several match: the preset's default, else the one with the fewest frames. Throws INVALID_ARGUMENT naming the first
 * field that conflicts with earlier ones.
 */
export function chooseFrameRate(fields: FrameRateFields, preset: Preset): FrameRateName | undefined {
  const facts: { [field in keyof FrameRateFields]-?: (name: FrameRateName) => string | number } = {
    frame_rate: (name) => name,
    num_frames: (name) => frameCount(preset, name),
    fps: (name) => preset.playbackRate[name],
    seconds: (name) => Number(videoSeconds(preset, { frameRate: name })),
  };
  let left = offeredFrameRates(preset);
  let isNamed = false;
  for (const [field, fact] of Object.entries(facts)) {
    const given = fields[field as keyof FrameRateFields] ?? undefined;
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
