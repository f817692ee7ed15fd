import { combine } from '../diffusion/combine.ts';
import { guide } from '../diffusion/guidance.ts';
import { noisePurpose, normalNoise, uniformNoise } from '../diffusion/noise.ts';
import { levelOfTrainingStep } from '../diffusion/noise-levels.ts';
import { sample } from '../diffusion/sample.ts';
import { notFinite } from '../pipeline/finite.ts';
import { keyframeItems } from '../pipeline/keyframe-items.ts';
import { firstFrameScale } from '../pipeline/latents.ts';
import { firstFrameInterfaces } from '../pipeline/networks/preset-networks.ts';
import { conditionedOn, firstFrameModelNames, modelNames, type Preset } from '../pipeline/preset.ts';
import { type Tensor, tensor } from '../pipeline/tensor.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import { type KeyframesRun, keyframesSampler, type Steps } from './denoise-keyframes.ts';
import { halvePicture } from './halve-picture.ts';
import { perItem, repeat, textInputs } from './text-inputs.ts';

/** The models of a preset whose keyframe network reads a first frame; undefined for others. */
export function firstFrameModels(preset: Preset) {
  const interfaces = firstFrameInterfaces(preset);
  return (
    interfaces && {
      keyframes: expectNetwork(modelNames.keyframes, keyframeItems(preset), interfaces.keyframes),
      firstFrame: expectNetwork(firstFrameModelNames.firstFrame, 2, interfaces.firstFrame),
      pictureDecoder: expectNetwork(firstFrameModelNames.pictureDecoder, 1, interfaces.pictureDecoder),
      pictureEncoder: expectNetwork(firstFrameModelNames.pictureEncoder, 1, interfaces.pictureEncoder),
    }
  );
}

export type FirstFrameModels = NonNullable<ReturnType<typeof firstFrameModels>>;

/** Samples the latents of a picture of the prompt, {@link firstFrameScale} times as high and wide as the video. */
export function denoiseFirstFrame(run: KeyframesRun, models: FirstFrameModels): Steps {
  const { preset, triton, steps, task, from, backendTime, signal } = run;
  const shape = enlargedShape(run);
  const length = shape.reduce((product, size) => product * size);
  const items = task.sampling.guidanceScale === 0 ? 1 : 2;
  const conditions = textInputs(task, items);
  const nextLevel = queueLevels(task.priority);
  return sample({
    stage: 'keyframes',
    sampler: keyframesSampler(task, preset, length),
    length,
    seed: task.seed,
    purpose: noisePurpose.firstFrame,
    from,
    signal,
    async predict(latents, timestep) {
      const noisy = tensor('float32', [items, ...shape], repeat(latents, items));
      const { prediction } = await steps.infer(
        models.firstFrame,
        { latents: noisy, timestep: perItem(timestep, items), ...conditions },
        { priority: nextLevel(), backendTime, signal },
      );
      const { data } = prediction;
      if (items === 1) {
        return data;
      }
      const guided = guide(data.subarray(0, length), data.subarray(length), task.sampling.guidanceScale);
      triton.release({ prediction });
      return guided;
    },
  });
}

/** Shows the latents of a first frame, in the size of the video: bytes [height, width, 3]. */
export async function showFirstFrame(
  run: KeyframesRun,
  models: FirstFrameModels,
  latents: Float32Array,
): Promise<Tensor<'uint8'>> {
  const { triton, task, backendTime, signal } = run;
  const { frames, is_finite } = await triton.inferExpected(
    models.pictureDecoder,
    { latents: tensor('float32', [1, ...enlargedShape(run)], Float32Array.from(latents)) },
    { priority: queueLevels(task.priority)(), backendTime, signal },
  );
  if (is_finite.data[0] === 0) {
    throw notFinite('keyframes', 'first frame');
  }
  const [, height = 0, width = 0, colours = 0] = frames.shape;
  const halved = halvePicture(frames.data, [height, width, colours]);
  triton.release({ frames });
  return tensor('uint8', [height / firstFrameScale, width / firstFrameScale, colours], halved);
}

/** The latents of a first frame with as much of the training's noise as asked for. */
export function augment({ preset, task }: KeyframesRun, latents: Float32Array, steps: number): Float32Array {
  const { alpha, sigma } = levelOfTrainingStep(preset.keyframes.schedule, steps);
  const draw = conditionedOn(preset)!.noise === 'uniform' ? uniformNoise : normalNoise;
  const noise = draw({ seed: task.seed, purpose: noisePurpose.augmentation, draw: 0 }, 0, latents.length);
  return combine(alpha, latents, sigma, noise);
}

function enlargedShape({ task }: KeyframesRun): [number, number, number] {
  const [, channels = 0, height = 0, width = 0] = task.latentShape;
  return [channels, firstFrameScale * height, firstFrameScale * width];
}
