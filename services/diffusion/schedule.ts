import { invalidField } from '../kit/errors.ts';
import type { ScheduleName } from '../pipeline/preset.ts';

/** Steps of the process that the networks were trained on; a timestep counts these. */
export const trainingSteps = 1000;

/** At this many steps the last β of the linear schedule is 1; with fewer it would exceed 1. */
const linearStepsAtBetaOne = 20;

/**
 * Noise per step, β_0 … β_{steps−1}.
 *
 * *cosine*: min(1 − ᾱ((i+1)/S)/ᾱ(i/S), 0.999) with ᾱ(t) = cos²((t + 0.008)/1.008·π/2) (Nichol & Dhariwal 2021);
 * *linear*: evenly from 0.0001·1000/S to 0.02·1000/S, a single step taking the first; *cosine-zero-snr*: cosine, rescaled so
 * that nothing of the data is left after the last step (Lin et al. 2023, algorithm 1).
 *
 * Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000.
 */
export function betaSchedule(name: ScheduleName, steps: number): Float32Array {
  checkSteps(steps);
  if (name === 'cosine-zero-snr') {
    return withoutTerminalSignal(betaSchedule('cosine', steps));
  }
  if (name === 'cosine') {
    const remaining = (t: number) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
    return Float32Array.from({ length: steps }, (_, i) =>
      Math.min(1 - remaining((i + 1) / steps) / remaining(i / steps), 0.999),
    );
  }
  const scale = trainingSteps / steps;
  const first = scale * 0.0001;
  const last = scale * 0.02;
  return Float32Array.from({ length: steps }, (_, i) =>
    steps === 1 ? first : first + ((last - first) * i) / (steps - 1),
  );
}

/** Shifts √ᾱ to end at 0 and scales it to begin where it did, in float32 arithmetic as published. */
function withoutTerminalSignal(betas: Float32Array): Float32Array {
  const roots = alphasCumprod(betas).map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const scale = Math.fround(first / Math.fround(first - last));
  const cumulative = roots
    .map((root) => root - last)
    .map((root) => root * scale)
    .map((root) => root ** 2);
  const alphas = cumulative.map((alpha, i) => (i === 0 ? alpha : alpha / cumulative[i - 1]!));
  return alphas.map((alpha) => 1 - alpha);
}

/** Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000. */
export function checkSteps(steps: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > trainingSteps) {
    throw invalidField('steps', steps, `a whole number from 1 to ${trainingSteps}`);
  }
}

/** ᾱ_t, the share of the data's variance left after step t: the running product of 1 − β. */
export function alphasCumprod(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= Math.fround(1 - beta)));
}

/** What ancestral sampling needs at each step t of a schedule. */
export interface PosteriorTables {
  sqrtAlphasCumprod: Float32Array;
  sqrtOneMinusAlphasCumprod: Float32Array;
  /** Weight of x₀ in the posterior's mean: √ᾱ_{t−1}·β/(1 − ᾱ). */
  meanCoefficient1: Float32Array;
  /** Weight of x_t in the posterior's mean: √α·(1 − ᾱ_{t−1})/(1 − ᾱ). */
  meanCoefficient2: Float32Array;
  /** Logarithm of the posterior's variance; entry 0, where the variance is 0, repeats entry 1. */
  logVariance: Float32Array;
}

/**
 * The tables of the posterior q(x_{t−1} | x_t, x₀) (Ho et al. 2020, eq. 7), in float32 arithmetic as published.
 *
 * Throws INVALID_ARGUMENT, naming schedule and steps, for 20 or fewer steps of the linear schedule: its last β reaches 1,
 * nothing of the data is left then, and a prediction of the noise would be divided by zero.
 */
export function posteriorTables(name: ScheduleName, steps: number): PosteriorTables {
  const betas = betaSchedule(name, steps);
  if (name === 'linear' && steps <= linearStepsAtBetaOne) {
    throw invalidField(
      'steps',
      steps,
      `at least ${linearStepsAtBetaOne + 1} for ancestral sampling on the ${name} schedule`,
    );
  }
  const cumulative = alphasCumprod(betas);
  const previous = cumulative.map((_, t) => (t === 0 ? 1 : cumulative[t - 1]!));
  const oneMinus = cumulative.map((alpha) => 1 - alpha);
  const oneMinusPrevious = previous.map((alpha) => 1 - alpha);
  const alphas = betas.map((beta) => 1 - beta);
  const variance = betas.map((beta, t) => (beta * oneMinusPrevious[t]!) / oneMinus[t]!);
  return {
    sqrtAlphasCumprod: cumulative.map(Math.sqrt),
    sqrtOneMinusAlphasCumprod: oneMinus.map(Math.sqrt),
    meanCoefficient1: betas.map((beta, t) => (Math.sqrt(previous[t]!) * beta) / oneMinus[t]!),
    meanCoefficient2: alphas.map((alpha, t) => (Math.sqrt(alpha) * oneMinusPrevious[t]!) / oneMinus[t]!),
    logVariance: variance.map((value, t) => Math.log(t === 0 ? (variance[1] ?? 1) : value)),
  };
}
