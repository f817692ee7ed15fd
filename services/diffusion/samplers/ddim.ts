import { combine } from '../combine.ts';
import { levelsEvenInTime } from '../noise-levels.ts';
import { denoise } from '../prediction.ts';
import { threshold } from '../threshold.ts';
import { noHistory, type Sampler, type SamplerOptions } from './sampler.ts';

/**
 * Deterministic DDIM (Song et al. 2021, eq. 12 with σ = 0): takes the noise consistent with the thresholded x₀ and
 * combines both at the next level. First order; the baseline for the faster solvers.
 *
 * Throws INVALID_ARGUMENT when `steps` is out of range.
 */
export function ddim(options: SamplerOptions): Sampler<undefined> {
  const levels = levelsEvenInTime(options.schedule, options.steps);

  return {
    steps: options.steps,
    start: undefined,
    ...noHistory,
    timestep: (step) => levels[step]!.timestep,
    step(step, { latents }, modelOutput) {
      const from = levels[step]!;
      const to = levels[step + 1]!;
      const denoised = denoise(options.prediction, latents, modelOutput, from.alpha, from.sigma);
      threshold(denoised, options.threshold);

      const ratio = Math.fround(to.sigma / from.sigma);
      const weight = Math.fround(to.alpha - ratio * from.alpha);
      return { latents: combine(ratio, latents, weight, denoised), denoised, history: undefined };
    },
  };
}
