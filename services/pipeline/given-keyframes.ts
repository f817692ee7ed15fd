import { invalidField } from '../kit/errors.ts';
import { minKeyframes } from '../kit/pictures.ts';
import type { Preset } from './preset.ts';

/** How many keyframes a request may give: where engines serve the preset, as many as they were compiled for. */
export function keyframeCounts({ keyframes: { frames }, sizes }: Preset): { min: number; max: number } {
  return { min: sizes === undefined ? minKeyframes : frames, max: frames };
}

/** Throws INVALID_ARGUMENT naming `field` for another number of keyframes. */
export function checkKeyframeCount(count: number, preset: Preset, field = 'keyframes'): void {
  const { min, max } = keyframeCounts(preset);
  if (count < min || count > max) {
    const allowed = min === max ? `${max} frames, for which the engines were compiled` : `${min} to ${max} frames`;
    throw invalidField(field, count, `${allowed}, as many as ${preset.name} has keyframes`);
  }
}
