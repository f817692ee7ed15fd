import { type SampleOptions, sample } from '../diffusion/sample.ts';
import { elementCount, type Tensor, tensor } from '../pipeline/tensor.ts';
import { withOneBackground } from './background.ts';
import { type KeyframesRun, keyframesPredictor, keyframesSampling, type Steps } from './denoise-keyframes.ts';
import { joinThings, predictorsOfThings } from './denoise-things.ts';
import { encoderOf } from './encode-keyframes.ts';
import { encodePicture } from './encode-picture.ts';
import { hintAtThings } from './hint-at-things.ts';
import { changeParts, joinParts, partOf } from './parts.ts';
import type { SplitThings } from './split-things.ts';

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
  yield* inpaint(run, [await encodeGiven(run, given)], [keyframesPredictor(run)]);
}

/** The same for each of the things of a picture alone, all in step: the latents are [things, keyframes, 4, h, w]. */
export async function* inpaintThings(run: KeyframesRun, { shape }: Tensor<'uint8'>, { pictures }: SplitThings): Steps {
  const encoded: Float32Array[] = [];
  for (const picture of pictures) {
    encoded.push(await encodeGiven(run, tensor('uint8', [...shape], picture)));
  }
  yield* inpaint(run, encoded, predictorsOfThings(run));
}

/** Places the things of a picture, which were sampled alone, where they are in it: [keyframes, 4, h, w]. */
export async function joinThingsOfPicture(
  run: KeyframesRun,
  given: Tensor<'uint8'>,
  { lanes }: SplitThings,
  latents: Float32Array,
): Promise<Float32Array<ArrayBuffer>> {
  const joined = await joinThings(run, latents, lanes);
  return continuing(await encodeGiven(run, given), joined, run.task.latentShape);
}

function encodeGiven(run: KeyframesRun, given: Tensor<'uint8'>): Promise<Float32Array> {
  return encodePicture({ ...run, priority: run.task.priority }, encoderOf(run.preset), given, 'first frame');
}

/** @param pictures the first keyframe of each of the predictors' keyframes, latents [4, h, w] */
async function* inpaint(
  run: KeyframesRun,
  pictures: readonly Float32Array[],
  predictors: readonly SampleOptions['predict'][],
): Steps {
  const shape = run.task.latentShape;
  const length = elementCount(shape);
  const whole = (latents: Float32Array) =>
    changeParts(latents, length, (part, index) => continuing(pictures[index]!, part, shape));
  const steps = sample({
    ...keyframesSampling(run),
    length: pictures.length * length,
    begin: (noise) => changeParts(noise, length, (part, index) => hintAtThings(part, pictures[index]!, shape)),
    predict: async (latents, ...at) =>
      joinParts(
        await Promise.all(
          predictors.map((predict, index) =>
            predict(startingWith(pictures[index]!, partOf(latents, index, length)), ...at),
          ),
        ),
      ),
  });
  for await (const state of steps) {
    yield { ...state, latents: whole(state.latents), denoised: whole(state.denoised) };
  }
}

/** Keyframes of which the first is a picture, whose background all have. @param shape of the frames, [keyframes, 4, h, w] */
function continuing(picture: Float32Array, frames: Float32Array, shape: readonly number[]): Float32Array<ArrayBuffer> {
  return withOneBackground(startingWith(picture, frames), shape);
}

function startingWith(first: Float32Array, frames: Float32Array): Float32Array {
  const changed = frames.slice();
  changed.set(first);
  return changed;
}
