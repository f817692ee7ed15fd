import { combine } from '../diffusion/combine.ts';
import { noisePurpose, normalNoise } from '../diffusion/noise.ts';
import { levelOfTrainingStep } from '../diffusion/noise-levels.ts';
import type { Preset } from '../pipeline/preset.ts';
import type { InterpolationTask } from './interpolation-task.ts';

/**
 * The frames [T, 4, h, w] as the network sees them: with as much of the training's noise as the request asks for, the same for
 * both pairs that a frame belongs to.
 */
export function perturbFrames(
  { interpolation: { schedule } }: Preset,
  { frames: { data }, pass, seed, perturbation }: InterpolationTask,
): Float32Array {
  if (perturbation === 0) {
    return data;
  }
  const { alpha, sigma } = levelOfTrainingStep(schedule, perturbation);
  const noise = normalNoise({ seed, purpose: noisePurpose.perturbation[pass]!, draw: 0 }, 0, data.length);
  return combine(alpha, data, sigma, noise);
}
