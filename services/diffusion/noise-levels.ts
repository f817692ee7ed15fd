import type { ScheduleName } from '../pipeline/preset.ts';
import { alphasCumprod, betaSchedule, checkSteps, trainingSteps } from './schedule.ts';

/** One point of the diffusion process: x = alpha·x₀ + sigma·noise, alpha² + sigma² = 1. */
export interface NoiseLevel {
  /** The training step with this level, for the network; fractional between two steps. */
  timestep: number;
  alpha: number;
  sigma: number;
  /** λ = ln(alpha/sigma), half the logarithm of the signal-to-noise ratio. */
  logSnr: number;
}

/**
 * λ at which solvers start. The cosine schedule's last levels are far below it (√ᾱ is 5e-5 at the very last), where x₀
 * computed from predicted noise is the network's error magnified hundreds of times. diffusers also clips at −5.1; this
 * drops 4 of the cosine schedule's 1000 levels and none of the linear one's.
 */
const minLogSnr = -5.1;

/** Noise of 2 %, finer than the detail in latents: from here a solver goes to the data in one step. */
const lastLogSnr = 4;

const data: NoiseLevel = { timestep: -1, alpha: 1, sigma: 0, logSnr: Number.POSITIVE_INFINITY };

/**
 * `steps` levels spread evenly over the training time, noisiest first, and the data at the end.
 *
 * Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000.
 */
export function levelsEvenInTime(schedule: ScheduleName, steps: number): NoiseLevel[] {
  const logSnrs = trainingLogSnrs(schedule, steps);
  return levels(steps, (i) => {
    const timestep = (logSnrs.length - 1) * (1 - i / steps);
    const below = Math.floor(timestep);
    const next = logSnrs[below + 1] ?? logSnrs[below]!;
    return levelOf(timestep, logSnrs[below]! + (next - logSnrs[below]!) * (timestep - below));
  });
}

/**
 * `steps` levels spread evenly over the logarithm of the signal-to-noise ratio, noisiest first, and the data at the
 * end. Coarse and fine features of latents are each decided near one ratio, so even spacing skips none.
 *
 * Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000.
 */
export function levelsEvenInLogSnr(schedule: ScheduleName, steps: number): NoiseLevel[] {
  const logSnrs = trainingLogSnrs(schedule, steps);
  const first = logSnrs.at(-1)!;
  return levels(steps, (i) => {
    const logSnr = first + (lastLogSnr - first) * (i / Math.max(1, steps - 1));
    const below = Math.min(
      logSnrs.findLastIndex((value) => value >= logSnr),
      logSnrs.length - 2,
    );
    const part = (logSnrs[below]! - logSnr) / (logSnrs[below]! - logSnrs[below + 1]!);
    return levelOf(below + part, logSnr);
  });
}

/**
 * The level of a whole training step, such as the noise added to a first frame.
 *
 * @param timestep 0 to 999
 */
export function levelOfTrainingStep(schedule: ScheduleName, timestep: number): Pick<NoiseLevel, 'alpha' | 'sigma'> {
  const kept = alphasCumprod(betaSchedule(schedule, trainingSteps))[timestep]!;
  return { alpha: Math.fround(Math.sqrt(kept)), sigma: Math.fround(Math.sqrt(1 - kept)) };
}

/** λ of the training steps that solvers use, from the least noisy one on. */
function trainingLogSnrs(schedule: ScheduleName, steps: number): number[] {
  checkSteps(steps);
  const cumulative = alphasCumprod(betaSchedule(schedule, trainingSteps));
  return [...cumulative].map((alpha) => Math.log(alpha / (1 - alpha)) / 2).filter((logSnr) => logSnr >= minLogSnr);
}

function levels(steps: number, level: (index: number) => NoiseLevel): NoiseLevel[] {
  return [...Array.from({ length: steps }, (_, i) => level(i)), data];
}

function levelOf(timestep: number, logSnr: number): NoiseLevel {
  const signalToNoise = Math.exp(2 * logSnr);
  // Rounding to float32 hides the last bits of exp and log, in which engines differ.
  return {
    timestep: Math.fround(timestep),
    alpha: Math.fround(Math.sqrt(signalToNoise / (1 + signalToNoise))),
    sigma: Math.fround(Math.sqrt(1 / (1 + signalToNoise))),
    logSnr,
  };
}
