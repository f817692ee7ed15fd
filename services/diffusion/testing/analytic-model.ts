import type { PredictionType, SamplerName, ScheduleName } from '../../pipeline/preset.ts';
import { alphasCumprod, betaSchedule } from '../schedule.ts';

const { exp, sqrt } = Math;

/** One part of a mixture of normal distributions; a deviation of 0 is data concentrated in one point. */
export interface Component {
  weight: number;
  mean: number;
  deviation: number;
}

/** A network that knows its data: each value is drawn from the mixture, independently. */
export function analyticModel(mixture: Component[], prediction: PredictionType) {
  return (latents: Float32Array, alphaCumprod: number): Float32Array => {
    const alpha = Math.sqrt(alphaCumprod);
    const sigma = Math.sqrt(1 - alphaCumprod);
    return latents.map((x) => {
      const expected = expectedData(mixture, x, alpha, sigma);
      const epsilon = (x - alpha * expected) / sigma;
      return { epsilon, v: alpha * epsilon - sigma * expected, sample: expected }[prediction];
    });
  };
}

/** E[x₀ | x] at the level x = alpha·x₀ + sigma·noise. */
function expectedData(mixture: Component[], x: number, alpha: number, sigma: number): number {
  let total = 0;
  let sum = 0;
  for (const { weight, mean, deviation } of mixture) {
    const variance = (alpha * deviation) ** 2 + sigma ** 2;
    const distance = x - alpha * mean;
    // The added constant keeps the nearest peak's share from vanishing.
    const share = (weight / sqrt(variance)) * exp(-(distance ** 2) / (2 * variance)) + 1e-300;
    total += share;
    sum += share * (mean + ((alpha * deviation ** 2) / variance) * distance);
  }
  return sum / total;
}

/** ᾱ that a sampler means by a timestep: ancestral counts in its own schedule, the others in the training schedule. */
export function levelOfTimestep(name: SamplerName, schedule: ScheduleName, steps: number) {
  if (name === 'ancestral') {
    const cumulative = alphasCumprod(betaSchedule(schedule, steps));
    return (timestep: number) => cumulative[timestep / Math.floor(1000 / steps)]!;
  }
  const cumulative = alphasCumprod(betaSchedule(schedule, 1000));
  return (timestep: number) => {
    const logSnr = (t: number) => Math.log(cumulative[t]! / (1 - cumulative[t]!)) / 2;
    const below = Math.floor(timestep);
    const part = timestep - below;
    const value = part === 0 ? logSnr(below) : (1 - part) * logSnr(below) + part * logSnr(below + 1);
    return 1 / (1 + Math.exp(-2 * value));
  };
}
