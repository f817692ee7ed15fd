import { guide } from '../diffusion/guidance.ts';
import { noisePurpose } from '../diffusion/noise.ts';
import { type SampleOptions, type SamplePoint, type SampleStep, sample } from '../diffusion/sample.ts';
import { createSampler } from '../diffusion/samplers/create-sampler.ts';
import type { BackendTime } from '../kit/telemetry/backend-time.ts';
import { keyframeItems } from '../pipeline/keyframe-items.ts';
import { keyframeUNetInterface, type UNetConfig } from '../pipeline/networks/unet.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { tensor } from '../pipeline/tensor.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { StageContext } from '../triton/stage.ts';
import { frameLength, type KeyframesTask } from './keyframes-task.ts';
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
export function keyframesModel(preset: Preset) {
  // The preset's other kind of network continues a first frame.
  const network = preset.keyframes.network as UNetConfig;
  return expectNetwork(modelNames.keyframes, keyframeItems(preset), keyframeUNetInterface(network));
}

/** Samples the keyframes from the prompt alone. */
export function denoiseKeyframes(run: KeyframesRun): Steps {
  return sample({ ...keyframesSampling(run), predict: keyframesPredictor(run) });
}

/** How a run samples its keyframes, but for the predictions. */
export function keyframesSampling({ preset, task, from, signal }: KeyframesRun): Omit<SampleOptions, 'predict'> {
  const itemSize = frameLength(task);
  return {
    stage: 'keyframes',
    sampler: keyframesSampler(task, preset, itemSize),
    length: itemSize * task.latentShape[0]!,
    seed: task.seed,
    purpose: noisePurpose.keyframes,
    from,
    signal,
  };
}

/**
 * Calls the keyframe network for the prompt. With guidance there are two items: the prompt's, and that of the negative prompt
 * or of none.
 */
export function keyframesPredictor({
  preset,
  triton,
  steps,
  task,
  backendTime,
  signal,
}: KeyframesRun): SampleOptions['predict'] {
  const { keyframes } = preset;
  const [frames = 0] = task.latentShape;
  const items = task.sampling.guidanceScale === 0 ? 1 : keyframeItems(preset);
  const positions = Float32Array.from({ length: frames }, (_, frame) => frame * keyframes.positionStride);
  const conditions = {
    positions: tensor('float32', [items, frames], repeat(positions, items)),
    ...textInputs(task, items),
  };
  const model = keyframesModel(preset);
  const nextLevel = queueLevels(task.priority);

  return async (latents, timestep) => {
    const { prediction } = await steps.infer(
      model,
      {
        latents: tensor('float32', [items, ...task.latentShape], repeat(latents, items)),
        timestep: perItem(timestep, items),
        ...conditions,
      },
      { priority: nextLevel(), backendTime, signal },
    );
    const { data } = prediction;
    if (items === 1) {
      return data;
    }
    const { length } = latents;
    const guided = guide(data.subarray(0, length), data.subarray(length), task.sampling.guidanceScale);
    triton.release({ prediction });
    return guided;
  };
}

export type Steps = AsyncGenerator<SampleStep, void, undefined>;

/** @param itemSize elements of a frame */
export function keyframesSampler({ sampling }: KeyframesTask, { keyframes }: Preset, itemSize: number) {
  const { schedule, spacing, prediction, thresholdPercentile: percentile } = keyframes;
  const { sampler, steps } = sampling;
  return createSampler(sampler, { schedule, spacing, steps, prediction, threshold: { itemSize, percentile } });
}
