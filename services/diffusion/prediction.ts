import { combine } from './combine.ts';

/** What a network predicts: the noise (*epsilon*) or the velocity √ᾱ·noise − √(1−ᾱ)·x₀ (*v*). */
export type PredictionType = 'epsilon' | 'v';

/**
 * x₀ as the network sees it in latents at the level x = alpha·x₀ + sigma·noise: (x − sigma·ε)/alpha, or
 * alpha·x − sigma·v.
 *
 * In double precision before the result is rounded to float32, since `alpha` may be as small as 1e-3.
 */
export function denoise(
  prediction: PredictionType,
  latents: Float32Array,
  modelOutput: Float32Array,
  alpha: number,
  sigma: number,
): Float32Array {
  return prediction === 'epsilon'
    ? combine(1 / alpha, latents, -sigma / alpha, modelOutput)
    : combine(alpha, latents, -sigma, modelOutput);
}
