import { invalidField } from '../../kit/errors.ts';
import type { ScheduleName } from '../../pipeline/preset.ts';
import { combine } from '../combine.ts';
import { denoise } from '../prediction.ts';
import { alphasCumprod, betaSchedule, checkSteps, posteriorTables, trainingSteps } from '../schedule.ts';
import { threshold } from '../threshold.ts';
import { noHistory, type Sampler, type SamplerOptions } from './sampler.ts';

/**
 * Ancestral sampling (Ho et al. 2020, algorithm 2) as published with the weights. With its own spacing the schedule is
 * computed over the sampling steps themselves, and the network gets step index t as t·⌊1000/steps⌋; otherwise the steps are
 * some of those of training.
 *
 * Throws INVALID_ARGUMENT when `steps` is out of range or leads to a level at which nothing of the data is left, from which
 * a prediction of the noise gives no data: below 21 on the linear schedule, 1000 on the one without terminal signal.
 */
export function ancestral(options: SamplerOptions): Sampler<undefined> {
  const { steps, prediction, schedule, spacing = 'own' } = options;
  const points = spacing === 'own' ? ownSteps(schedule, steps) : trainedSteps(schedule, steps, spacing);
  if (prediction === 'epsilon' && points[0]!.alpha === 0) {
    throw invalidField(
      'steps',
      steps,
      `fewer than ${trainingSteps} for ancestral sampling on the ${schedule} schedule`,
    );
  }

  return {
    steps,
    start: undefined,
    ...noHistory,
    timestep: (step) => points[step]!.timestep,
    step(step, { latents }, modelOutput, noise) {
      const { alpha, sigma, ofData, ofLatents, deviation } = points[step]!;
      const denoised = denoise(prediction, latents, modelOutput, alpha, sigma);
      threshold(denoised, options.threshold);

      const mean = combine(ofData, denoised, ofLatents, latents);
      const next = deviation === 0 ? mean : combine(1, mean, deviation, noise());
      return { latents: next, denoised, history: undefined };
    },
  };
}

/** A step from one noise level to the next. */
interface AncestralStep {
  /** What the network is told. */
  timestep: number;
  /** The level: x = alpha·x₀ + sigma·noise. */
  alpha: number;
  sigma: number;
  /** Weights of x₀ and x in the next mean. */
  ofData: number;
  ofLatents: number;
  /** Of the noise to add; 0: none. */
  deviation: number;
}

function ownSteps(schedule: ScheduleName, steps: number): AncestralStep[] {
  const tables = posteriorTables(schedule, steps);
  const timeScale = Math.floor(trainingSteps / steps);
  return Array.from({ length: steps }, (_, step) => {
    const t = steps - 1 - step;
    return {
      timestep: t * timeScale,
      alpha: tables.sqrtAlphasCumprod[t]!,
      sigma: tables.sqrtOneMinusAlphasCumprod[t]!,
      ofData: tables.meanCoefficient1[t]!,
      ofLatents: tables.meanCoefficient2[t]!,
      deviation: t === 0 ? 0 : Math.fround(Math.exp(tables.logVariance[t]! / 2)),
    };
  });
}

function trainedSteps(schedule: ScheduleName, steps: number, spacing: 'leading' | 'trailing'): AncestralStep[] {
  checkSteps(steps);
  const cumulative = alphasCumprod(betaSchedule(schedule, trainingSteps));
  const timesteps = Array.from({ length: steps }, (_, step) =>
    spacing === 'leading'
      ? (steps - 1 - step) * Math.floor(trainingSteps / steps)
      : Math.round(trainingSteps * (1 - step / steps)) - 1,
  );
  return timesteps.map((timestep, step) => {
    const here = cumulative[timestep]!;
    const next = step + 1 < steps ? cumulative[timesteps[step + 1]!]! : 1;
    const kept = here / next;
    return {
      timestep,
      alpha: Math.fround(Math.sqrt(here)),
      sigma: Math.fround(Math.sqrt(1 - here)),
      ofData: Math.fround((Math.sqrt(next) * (1 - kept)) / (1 - here)),
      ofLatents: Math.fround((Math.sqrt(kept) * (1 - next)) / (1 - here)),
      deviation: Math.fround(Math.sqrt(((1 - next) / (1 - here)) * (1 - kept))),
    };
  });
}
