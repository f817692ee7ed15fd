import { guideByTextAndPicture } from '../diffusion/guidance.ts';
import { noisePurpose } from '../diffusion/noise.ts';
import { type SamplePoint, sample } from '../diffusion/sample.ts';
import { keyframeItems } from '../pipeline/keyframe-items.ts';
import { motionScores } from '../pipeline/preset.ts';
import { type Tensor, tensor } from '../pipeline/tensor.ts';
import { queueLevels } from '../triton/queue-level.ts';
import { type KeyframesRun, keyframesSampler, type Steps } from './denoise-keyframes.ts';
import { encodePicture } from './encode-picture.ts';
import { augment, denoiseFirstFrame, type FirstFrameModels, firstFrameModels, showFirstFrame } from './first-frame.ts';
import { type ConditionedFirstFrame, frameLength, type KeyframesTask } from './keyframes-task.ts';
import { perItem, repeat, textInputs } from './text-inputs.ts';

/** Steps before the keyframes' own: those of a first frame that is made from the prompt. */
export function leadingSteps({ firstFrame, sampling }: KeyframesTask): number {
  return firstFrame === undefined || firstFrame.picture ? 0 : sampling.steps;
}

/**
 * Samples keyframes that continue a first frame (Kandinsky Video 1.1): the given picture, or one made from the prompt in as
 * many steps, which come first. A point of the keyframes keeps the latents of a made frame as its last array.
 */
export async function* continueFirstFrame(run: KeyframesRun, firstFrame: ConditionedFirstFrame): Steps {
  const models = firstFrameModels(run.preset)!;
  const { task, from } = run;
  const { picture } = firstFrame;
  const encode = (shown: Tensor<'uint8'>) =>
    encodePicture({ ...run, priority: task.priority }, models.pictureEncoder, shown, 'first frame');
  const leading = leadingSteps(task);
  const total = leading + task.sampling.steps;
  if (picture) {
    const latents = await encode(picture);
    yield* continueLatents(run, models, firstFrame, latents);
    return;
  }

  const point = splitPoint(from, leading);
  let latents = point?.firstFrame?.subarray(0, frameLength(task));
  if (latents === undefined) {
    let enlarged = point?.made;
    if (enlarged === undefined) {
      for await (const state of denoiseFirstFrame({ ...run, from: point?.making }, models)) {
        yield { ...state, total };
        enlarged = state.latents;
      }
    }
    latents = await encode(await showFirstFrame(run, models, enlarged!));
  }
  const kept = new Float32Array(task.latentShape.reduce((product, size) => product * size));
  kept.set(latents);
  for await (const state of continueLatents({ ...run, from: point?.continuing }, models, firstFrame, latents)) {
    yield { ...state, step: leading + state.step, total, toArrays: () => [...state.toArrays(), kept] };
  }
}

/** Where a run stands in making the first frame, or in continuing it. */
interface SplitPoint {
  making?: SamplePoint;
  /** Latents of the enlarged frame when it is made but not yet shown. */
  made?: Float32Array | undefined;
  firstFrame?: Float32Array | undefined;
  continuing?: SamplePoint;
}

function splitPoint(from: SamplePoint | undefined, leading: number): SplitPoint | undefined {
  if (from === undefined) {
    return undefined;
  }
  const { step, arrays } = from;
  if (step < leading) {
    return { making: from };
  }
  return step === leading
    ? { made: arrays[0] }
    : { firstFrame: arrays.at(-1), continuing: { step: step - leading, arrays: arrays.slice(0, -1) } };
}

/** @param firstFrame latents [4, h, w], without noise */
function continueLatents(
  run: KeyframesRun,
  models: FirstFrameModels,
  { motion, noiseAugmentation, imageGuidanceScale }: ConditionedFirstFrame,
  firstFrame: Float32Array,
): Steps {
  const { preset, triton, steps, task, from, backendTime, signal } = run;
  const { guidanceScale } = task.sampling;
  const items = guidanceScale === 0 ? 1 : keyframeItems(preset);
  const [, ...frameShape] = task.latentShape;
  const itemSize = frameLength(task);
  const length = itemSize * task.latentShape[0]!;
  const noised = augment(run, firstFrame, noiseAugmentation);
  const conditions = {
    ...textInputs(task, items),
    first_frame: tensor('float32', [items, ...frameShape], repeat(noised, items)),
    has_first_frame: tensor('bool', [items, 1], Uint8Array.of(1, 1, 0).subarray(0, items)),
    noise_augmentation: perItem(noiseAugmentation, items),
    motion_score: perItem(motionScores[motion], items),
  };
  const nextLevel = queueLevels(task.priority);
  return sample({
    stage: 'keyframes',
    sampler: keyframesSampler(task, preset, itemSize),
    length,
    seed: task.seed,
    purpose: noisePurpose.keyframes,
    from,
    signal,
    async predict(latents, timestep) {
      const noisy = tensor('float32', [items, ...task.latentShape], repeat(latents, items));
      const { prediction } = await steps.infer(
        models.keyframes,
        { latents: noisy, timestep: perItem(timestep, items), ...conditions },
        { priority: nextLevel(), backendTime, signal },
      );
      const { data } = prediction;
      if (items === 1) {
        return data;
      }
      const item = (i: number) => data.subarray(i * length, (i + 1) * length);
      const scales = { text: guidanceScale, image: imageGuidanceScale };
      const guided = guideByTextAndPicture([item(0), item(1), item(2)], scales);
      triton.release({ prediction });
      return guided;
    },
  });
}
