import { combine } from '../combine.ts';
import { levelsEvenInLogSnr } from '../noise-levels.ts';
import { denoise } from '../prediction.ts';
import { threshold } from '../threshold.ts';
import type { Sampler, SamplerOptions } from './sampler.ts';

/**
 * DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): a second-order solver that reuses the previous step's estimate of x₀,
 * so it still calls the network once per step. The first step has no previous estimate, and the last one, to zero
 * noise, is exact without it: both are first order.
 *
 * Throws INVALID_ARGUMENT when `steps` is out of range.
 */
export function dpmSolverPlusPlus2M(options: SamplerOptions): Sampler<Float32Array | undefined> {
  const levels = levelsEvenInLogSnr(options.schedule, options.steps);

  return {
    steps: options.steps,
    start: undefined,
    toArrays: (previous) => (previous ? [previous] : []),
    fromArrays: ([previous]) => previous,
    timestep: (step) => levels[step]!.timestep,
    step(step, { latents, history: previous }, modelOutput) {
      const from = levels[step]!;
      const to = levels[step + 1]!;
      const denoised = denoise(options.prediction, latents, modelOutput, from.alpha, from.sigma);
      threshold(denoised, options.threshold);

      // σ_to/σ_from and α_to·(1 − e^−h) of the paper, written so that σ_to = 0 needs no infinite h.
      const ratio = Math.fround(to.sigma / from.sigma);
      const weight = Math.fround(to.alpha - ratio * from.alpha);
      if (step === 0 || to.sigma === 0 || !previous) {
        return { latents: combine(ratio, latents, weight, denoised), denoised, history: denoised };
      }
      const before = levels[step - 1]!;
      const lookBack = Math.fround((to.logSnr - from.logSnr) / (from.logSnr - before.logSnr) / 2);
      const extrapolated = combine(1 + lookBack, denoised, -lookBack, previous);
      return { latents: combine(ratio, latents, weight, extrapolated), denoised, history: denoised };
    },
  };
}
