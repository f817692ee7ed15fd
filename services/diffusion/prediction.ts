import type { PredictionType } from '../pipeline/preset.ts';
import { combine } from './combine.ts';

/**
 * x₀ as the network sees it in latents at the level x = alpha·x₀ + sigma·noise: (x − sigma·ε)/alpha,
 * alpha·x − sigma·v, or the prediction itself.
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
  switch (prediction) {
    case 'epsilon':
      return combine(1 / alpha, latents, -sigma / alpha, modelOutput);
    case 'v':
      return combine(alpha, latents, -sigma, modelOutput);
    case 'sample':
      return modelOutput.slice();
  }
}
