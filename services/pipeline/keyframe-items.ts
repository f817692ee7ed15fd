import { conditionedOn, type Preset } from './preset.ts';

/**
 * Number of items in a guided request to the keyframe network, in this order: with the prompt; if the network continues a first
 * frame, with that alone; with neither.
 */
export function keyframeItems(preset: Preset): number {
  return conditionedOn(preset) ? 3 : 2;
}
