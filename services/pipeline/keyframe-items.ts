import { conditionedOn, type Preset } from './preset.ts';

/**
 * Maximum number of items in a video's request to the keyframe network. Guidance also asks for the prediction without the
 * prompt, and if the network continues a first frame, for the one with that alone.
 */
export function keyframeItems(preset: Preset): number {
  return conditionedOn(preset) ? 3 : 2;
}
