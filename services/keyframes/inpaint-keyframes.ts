import { sample } from '../diffusion/sample.ts';
import type { Tensor } from '../pipeline/tensor.ts';
import { withOneBackground } from './background.ts';
import { type KeyframesRun, keyframesPredictor, keyframesSampling, type Steps } from './denoise-keyframes.ts';
import { encoderOf } from './encode-keyframes.ts';
import { encodePicture } from './encode-picture.ts';
import { hintAtThings } from './hint-at-things.ts';

/**
 * Samples keyframes of which the first is a given picture, with a network that was not trained for it: at every step the
 * network sees the picture's latents, without noise, in place of the first frame's. With the step's noise, as in RePaint
 * (Lugmayr et al. 2022), it would decide where things are before it could make out the picture.
 *
 * The noise decides where the network puts things, even with the picture before it. So that of the other keyframes has a hint
 * of the picture's things: without it, they jump away from their places in the picture. The result has the picture's background
 * throughout, whose shade the network would change a little.
 */
export async function* inpaintKeyframes(run: KeyframesRun, given: Tensor<'uint8'>): Steps {
  const { preset, task } = run;
  const encoding = { ...run, priority: task.priority };
  const picture = await encodePicture(encoding, encoderOf(preset), given, 'first frame');
  const predict = keyframesPredictor(run);
  const steps = sample({
    ...keyframesSampling(run),
    begin: (noise) => hintAtThings(noise, picture, task.latentShape),
    predict: (latents, ...at) => predict(startingWith(picture, latents), ...at),
  });
  for await (const state of steps) {
    const whole = (frames: Float32Array) => withOneBackground(startingWith(picture, frames), task.latentShape);
    yield { ...state, latents: whole(state.latents), denoised: whole(state.denoised) };
  }
}

function startingWith(first: Float32Array, frames: Float32Array): Float32Array {
  const changed = frames.slice();
  changed.set(first);
  return changed;
}
