import { combine } from '../diffusion/combine.ts';
import { noisePurpose, normalNoise } from '../diffusion/noise.ts';
import { sample } from '../diffusion/sample.ts';
import type { Tensor } from '../pipeline/tensor.ts';
import { type KeyframesRun, keyframesPredictor, keyframesSampling, type Steps } from './denoise-keyframes.ts';
import { encoderOf } from './encode-keyframes.ts';
import { encodePicture } from './encode-picture.ts';

/**
 * Samples keyframes of which the first is a given picture, with a network that was not trained for it: at every step the
 * network sees the picture's latents at that step's noise in place of the first frame's (Lugmayr et al. 2022, RePaint, without
 * its resampling), and the result has them without noise.
 */
export async function* inpaintKeyframes(run: KeyframesRun, given: Tensor<'uint8'>): Steps {
  const { preset, task } = run;
  const picture = await encodePicture({ ...run, priority: task.priority }, encoderOf(preset), given, 'first frame');
  const predict = keyframesPredictor(run);
  const noise = normalNoise({ seed: task.seed, purpose: noisePurpose.keyframes, draw: 0 }, 0, picture.length);
  const steps = sample({
    ...keyframesSampling(run),
    predict(latents, level, signal) {
      const noisy = combine(level.alpha, picture, level.sigma, noise);
      return predict(startingWith(noisy, latents), level, signal);
    },
  });
  for await (const state of steps) {
    const { latents, denoised } = state;
    yield { ...state, latents: startingWith(picture, latents), denoised: startingWith(picture, denoised) };
  }
}

function startingWith(first: Float32Array, frames: Float32Array): Float32Array {
  const changed = frames.slice();
  changed.set(first);
  return changed;
}
