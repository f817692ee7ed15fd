import { combine } from '../combine.ts';
import { denoise } from '../prediction.ts';
import { posteriorTables, trainingSteps } from '../schedule.ts';
import { threshold } from '../threshold.ts';
import { noHistory, type Sampler, type SamplerOptions } from './sampler.ts';

/**
 * Ancestral sampling (Ho et al. 2020, algorithm 2) as published with the weights: the schedule is computed over the
 * sampling steps themselves, and the network gets step index t as t·⌊1000/steps⌋.
 *
 * Throws INVALID_ARGUMENT when `steps` is out of range, or below 21 on the linear schedule.
 */
export function ancestral(options: SamplerOptions): Sampler<undefined> {
  const { steps, prediction } = options;
  const tables = posteriorTables(options.schedule, steps);
  const timeScale = Math.floor(trainingSteps / steps);

  return {
    steps,
    start: undefined,
    ...noHistory,
    timestep: (step) => (steps - 1 - step) * timeScale,
    step(step, { latents }, modelOutput, noise) {
      const t = steps - 1 - step;
      const denoised = denoise(
        prediction,
        latents,
        modelOutput,
        tables.sqrtAlphasCumprod[t]!,
        tables.sqrtOneMinusAlphasCumprod[t]!,
      );
      threshold(denoised, options.threshold);

      const mean = combine(tables.meanCoefficient1[t]!, denoised, tables.meanCoefficient2[t]!, latents);
      if (t === 0) {
        return { latents: mean, denoised, history: undefined };
      }
      const deviation = Math.fround(Math.exp(tables.logVariance[t]! / 2));
      return { latents: combine(1, mean, deviation, noise()), denoised, history: undefined };
    },
  };
}
