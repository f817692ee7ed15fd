import { guide } from '../diffusion/guidance.ts';
import { noisePurpose } from '../diffusion/noise.ts';
import { type SamplePoint, type SampleStep, sample } from '../diffusion/sample.ts';
import { createSampler } from '../diffusion/samplers/create-sampler.ts';
import type { BackendTime } from '../kit/telemetry/backend-time.ts';
import { keyframeUNetInterface, type UNetConfig } from '../pipeline/networks/unet.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { tensor } from '../pipeline/tensor.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { StageContext } from '../triton/stage.ts';
import type { KeyframesTask } from './keyframes-task.ts';
import { perItem, repeat, textInputs } from './text-inputs.ts';

/** A call of the stage: its task, where it continues, and what it reports to. */
export interface KeyframesRun extends StageContext {
  task: KeyframesTask;
  /** Undefined: from the noise. */
  from: SamplePoint | undefined;
  backendTime: BackendTime;
  signal: AbortSignal;
}

/** The model of a preset whose keyframes come from the prompt alone (Kandinsky Video 1.0). */
export function keyframesModel({ keyframes }: Preset) {
  // The preset's other kind of network continues a first frame.
  return expectNetwork(modelNames.keyframes, 2, keyframeUNetInterface(keyframes.network as UNetConfig));
}

/**
 * Samples the keyframes from the prompt alone. With guidance there are two items: the prompt's, and that of the negative
 * prompt or of none.
 */
export function denoiseKeyframes({ preset, triton, task, from, backendTime, signal }: KeyframesRun): Steps {
  const { keyframes } = preset;
  const [frames = 0, channels = 0, height = 0, width = 0] = task.latentShape;
  const items = task.sampling.guidanceScale === 0 ? 1 : 2;
  const positions = Float32Array.from({ length: frames }, (_, frame) => frame * keyframes.positionStride);
  const conditions = {
    positions: tensor('float32', [items, frames], repeat(positions, items)),
    ...textInputs(task, items),
  };
  const model = keyframesModel(preset);
  const itemSize = channels * height * width;
  const length = frames * itemSize;
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
      const { prediction } = await triton.inferExpected(
        model,
        {
          latents: tensor('float32', [items, ...task.latentShape], repeat(latents, items)),
          timestep: perItem(timestep, items),
          ...conditions,
        },
        { priority: nextLevel(), backendTime, signal },
      );
      const { data } = prediction;
      return items === 1 ? data : guide(data.subarray(0, length), data.subarray(length), task.sampling.guidanceScale);
    },
  });
}

export type Steps = AsyncGenerator<SampleStep, void, undefined>;

/** @param itemSize elements of a frame */
export function keyframesSampler({ sampling }: KeyframesTask, { keyframes }: Preset, itemSize: number) {
  const { schedule, spacing, prediction, thresholdPercentile: percentile } = keyframes;
  const { sampler, steps } = sampling;
  return createSampler(sampler, { schedule, spacing, steps, prediction, threshold: { itemSize, percentile } });
}
