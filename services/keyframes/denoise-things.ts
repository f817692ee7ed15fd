import { type SampleOptions, sample } from '../diffusion/sample.ts';
import { decoderRequests } from '../pipeline/decoder-requests.ts';
import { notFinite } from '../pipeline/finite.ts';
import { elementCount, tensor } from '../pipeline/tensor.ts';
import { frameDecoder } from '../triton/frame-decoder.ts';
import { queueLevels } from '../triton/queue-level.ts';
import { type KeyframesRun, keyframesPredictor, keyframesSampling, type Steps } from './denoise-keyframes.ts';
import { encoderOf } from './encode-keyframes.ts';
import { encodePicture } from './encode-picture.ts';
import type { Lanes } from './lanes.ts';
import { joinParts, partOf } from './parts.ts';
import { placeThings } from './place-things.ts';

/**
 * Samples the keyframes of each of the task's things alone, all in step: the latents are [things, keyframes, 4, h, w]. The
 * first thing has the noise of a video of it alone.
 */
export function denoiseThings(run: KeyframesRun): Steps {
  const sampling = keyframesSampling(run);
  const predictors = predictorsOfThings(run);
  return sample({
    ...sampling,
    length: predictors.length * sampling.length,
    predict: async (latents, ...at) =>
      joinParts(
        await Promise.all(predictors.map((predict, index) => predict(partOf(latents, index, sampling.length), ...at))),
      ),
  });
}

/** Call the keyframe network for each of the task's things. */
export function predictorsOfThings(run: KeyframesRun): SampleOptions['predict'][] {
  return run.task.things.map((prompt) => keyframesPredictor({ ...run, task: { ...run.task, prompt } }));
}

/**
 * Places things side by side: decodes the keyframes of each, and encodes pictures that show all.
 *
 * @param latents [things, keyframes, 4, h, w]
 * @param lanes Default: whichever leave the things more room
 * @returns [keyframes, 4, h, w]
 */
export async function joinThings(
  run: KeyframesRun,
  latents: Float32Array,
  lanes?: Lanes,
): Promise<Float32Array<ArrayBuffer>> {
  const { preset, task } = run;
  const [frames = 0] = task.latentShape;
  const length = elementCount(task.latentShape);
  const films = [];
  for (let index = 0; index < task.things.length; index++) {
    films.push(await decodeKeyframes(run, partOf(latents, index, length)));
  }
  const { height, width } = films[0]!;
  const encoding = { ...run, priority: task.priority };
  const joined = new Float32Array(length);
  let index = 0;
  for (const picture of placeThings(films, preset.things!.scale, lanes)) {
    const shown = tensor('uint8', [height, width, 3], picture);
    const encoded = await encodePicture(encoding, encoderOf(preset), shown, `keyframe ${index + 1} of ${frames}`);
    joined.set(encoded, index * encoded.length);
    index++;
  }
  return joined;
}

/** @param latents [keyframes, 4, h, w] */
async function decodeKeyframes({ preset, triton, task, backendTime, signal }: KeyframesRun, latents: Float32Array) {
  const [total = 0, ...frameShape] = task.latentShape;
  const frameLength = elementCount(frameShape);
  const nextLevel = queueLevels(task.priority);
  const pictures: Uint8Array[] = [];
  let [height, width] = [0, 0];
  for (const { start, end, leading } of decoderRequests(preset, total)) {
    const part = latents.slice(start * frameLength, end * frameLength);
    const { frames, is_finite } = await triton.inferExpected(
      frameDecoder(preset),
      { latents: tensor('float32', [...leading, ...frameShape], part) },
      { priority: nextLevel(), backendTime, signal },
    );
    const broken = is_finite.data.indexOf(0);
    if (broken !== -1) {
      throw notFinite('keyframes', `keyframe ${start + broken + 1} of ${total}`);
    }
    [height = 0, width = 0] = frames.shape.slice(-3);
    for (let frame = 0; frame < end - start; frame++) {
      pictures.push(partOf(frames.data, frame, height * width * 3));
    }
  }
  return { width, height, pictures };
}
