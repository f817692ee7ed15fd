import { weightedSum } from '../combine.ts';
import { levelsEvenInLogSnr, type NoiseLevel } from '../noise-levels.ts';
import { denoise } from '../prediction.ts';
import { threshold } from '../threshold.ts';
import type { Sampler, SamplerOptions } from './sampler.ts';

/** UniPC's history, from the second step on. */
interface Past {
  /** The corrected latents from which the previous step started. */
  latents: Float32Array;
  /** Estimates of x₀, the newest first; their number is the order of the previous step. */
  denoised: readonly Float32Array[];
}

/**
 * UniPC (Zhao et al. 2023) as a multistep solver, in its data-prediction form with B₂(h) = e^h − 1. Each step first
 * corrects the latents that it was given, using the network's prediction for them, and then predicts the next ones from
 * the corrected ones: still one network call per step. Without the corrector, order 2 is DPM-Solver++(2M).
 *
 * The first steps have fewer previous estimates, and the last one, to zero noise, is exact without any.
 *
 * Throws INVALID_ARGUMENT when `steps` is out of range.
 */
export function uniPc(options: SamplerOptions, largestOrder: 2 | 3 = 2): Sampler<Past | undefined> {
  const levels = levelsEvenInLogSnr(options.schedule, options.steps);

  return {
    steps: options.steps,
    start: undefined,
    toArrays: (past) => (past ? [past.latents, ...past.denoised] : []),
    fromArrays([latents, ...denoised]) {
      const isHistory = latents && denoised.length > 0 && denoised.length <= largestOrder;
      return isHistory ? { latents, denoised } : undefined;
    },
    timestep: (step) => levels[step]!.timestep,
    step(step, { latents: predicted, history: past }, modelOutput) {
      const at = (back: number) => levels[step - back]!;
      const from = at(0);
      const to = at(-1);
      const newest = denoise(options.prediction, predicted, modelOutput, from.alpha, from.sigma);
      threshold(newest, options.threshold);

      const latents = past === undefined ? predicted : correct(at, past, newest);
      const denoised = [newest, ...(past?.denoised ?? [])].slice(0, largestOrder);
      const order = to.sigma === 0 ? 1 : denoised.length;
      const next = advance(
        latents,
        from,
        to,
        newest,
        denoised.slice(1, order).map((values, i) => ({ values, level: at(i + 1) })),
      );
      return { latents: next, denoised: newest, history: { latents, denoised } };
    },
  };
}

/** The latents at the current level, recomputed from the previous level with the estimate of x₀ here. */
function correct(at: (back: number) => NoiseLevel, past: Past, newest: Float32Array): Float32Array {
  const earlier = past.denoised.slice(1).map((values, i) => ({ values, level: at(i + 2) }));
  return advance(past.latents, at(1), at(0), past.denoised[0]!, [...earlier, { values: newest, level: at(0) }]);
}

/** An estimate of x₀ at a level other than the one a step starts from. */
interface Estimate {
  values: Float32Array;
  level: NoiseLevel;
}

/**
 * Latents at `to` from those at `from`: (σ_to/σ_from)·x + α_to·(1 − e^−h)·(m₀ + Σ ρ_k·(m_k − m₀)/r_k), with m₀ the
 * estimate of x₀ at `from` and r_k the distance in λ of the level of estimate m_k, in units of h = λ_to − λ_from.
 */
function advance(
  latents: Float32Array,
  from: NoiseLevel,
  to: NoiseLevel,
  denoised: Float32Array,
  others: readonly Estimate[],
): Float32Array {
  const ratio = Math.fround(to.sigma / from.sigma);
  // α_to·(1 − e^−h), written so that σ_to = 0 needs no infinite h.
  const weight = Math.fround(to.alpha - ratio * from.alpha);
  const h = to.logSnr - from.logSnr;
  const distances = others.map(({ level }) => (level.logSnr - from.logSnr) / h);
  // Rounding to float32 hides the last bits of expm1, in which engines differ.
  const shares = combinationWeights(distances, h).map((rho, k) => Math.fround((weight * rho) / distances[k]!));
  const rest = shares.reduce((left, share) => left - share, weight);
  return weightedSum([
    [ratio, latents],
    [rest, denoised],
    ...others.map(({ values }, k) => [shares[k]!, values] as const),
  ]);
}

/**
 * ρ of the paper's equation 5: Σ_k ρ_k·r_k^(n−1) = n!·h^n·φ_{n+1}(h)/B(h) for n = 1 … the number of distances. A single
 * weight is the limit for small h, one half, as the paper's own code has it.
 */
function combinationWeights(distances: readonly number[], h: number): number[] {
  if (distances.length < 2) {
    return distances.map(() => 0.5);
  }
  const b = Math.expm1(-h);
  const right: number[] = [];
  let phi = b / -h - 1;
  let factorial = 1;
  for (let n = 1; n <= distances.length; n++) {
    factorial *= n;
    right.push((phi * factorial) / b);
    phi = phi / -h - 1 / (factorial * (n + 1));
  }
  return solve(
    distances.map((_, power) => distances.map((distance) => distance ** power)),
    right,
  );
}

/** Solves a system of linear equations by elimination; no pivot is needed where all leading minors are not 0. */
function solve(matrix: number[][], right: number[]): number[] {
  const size = right.length;
  for (let column = 0; column < size; column++) {
    for (let row = column + 1; row < size; row++) {
      const factor = matrix[row]![column]! / matrix[column]![column]!;
      matrix[row] = matrix[row]!.map((value, i) => value - factor * matrix[column]![i]!);
      right[row]! -= factor * right[column]!;
    }
  }
  const solution = new Array<number>(size).fill(0);
  for (let row = size - 1; row >= 0; row--) {
    const known = matrix[row]!.reduce((sum, value, i) => sum + value * solution[i]!, 0);
    solution[row] = (right[row]! - known) / matrix[row]![row]!;
  }
  return solution;
}
