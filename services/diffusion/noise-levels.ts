import { alphasCumprod, betaSchedule, type ScheduleName, trainingSteps } from './schedule.ts';

/** One point of the diffusion process: x = alpha·x₀ + sigma·noise, alpha² + sigma² = 1. */
export interface NoiseLevel {
  /** What the network is told; may fall between two training steps. */
  timestep: number;
  alpha: number;
  sigma: number;
}

/**
 * Half the logarithm of the least signal-to-noise ratio that a solver starts from. The cosine schedule's last levels lie
 * far below (√ᾱ 5e-5 at the very last), where x₀ from a prediction of the noise is the network's error magnified
 * hundreds of times; −5.1 is where diffusers clips too, leaves out 4 of the cosine schedule's 1000 levels and none of the
 * linear one's.
 */
const leastLogSnr = -5.1;

/**
 * The levels a solver visits, noisiest first, spread evenly over the training time, and the data itself at the end:
 * `steps` + 1 in all. Each timestep is told with the level it really has in training: whole ones as long as there are
 * enough, else the ones between by interpolation of log ᾱ.
 *
 * Throws INVALID_ARGUMENT when `steps` is not a whole number from 1 to 1000.
 */
export function noiseLevels(name: ScheduleName, steps: number): NoiseLevel[] {
  // Checks `steps` before anything is made of it.
  betaSchedule(name, steps);
  const cumulative = alphasCumprod(betaSchedule(name, trainingSteps));
  const usable = cumulative.findLastIndex((alpha) => Math.log(alpha / (1 - alpha)) / 2 >= leastLogSnr) + 1;
  const levels = Array.from({ length: steps }, (_, i) => {
    const timestep = usable * (1 - i / steps) - 1;
    return levelAt(cumulative, steps <= usable ? Math.round(timestep) : timestep);
  });
  return [...levels, { timestep: -1, alpha: 1, sigma: 0 }];
}

function levelAt(cumulative: Float32Array, timestep: number): NoiseLevel {
  // Timestep −1, before the first step of noise, is the data.
  const logAlpha = (t: number) => (t < 0 ? 0 : Math.log(cumulative[t]!));
  const below = Math.floor(timestep);
  const part = timestep - below;
  const alphaCumprod = Math.exp(
    part === 0 ? logAlpha(below) : (1 - part) * logAlpha(below) + part * logAlpha(below + 1),
  );
  return { timestep, alpha: Math.sqrt(alphaCumprod), sigma: Math.sqrt(1 - alphaCumprod) };
}
