import {
  type GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { guide } from '../diffusion/guidance.ts';
import { noisePurpose } from '../diffusion/noise.ts';
import { sample } from '../diffusion/sample.ts';
import { createSampler } from '../diffusion/samplers/create-sampler.ts';
import { service } from '../kit/serve.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { maxCheckpointArrays } from '../pipeline/checkpoint-pieces.ts';
import { Checkpoints } from '../pipeline/checkpoints.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { maxLatentBytes } from '../pipeline/latents.ts';
import { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import { modelNames, type Preset } from '../pipeline/preset.ts';
import { tensor, tensorBytes } from '../pipeline/tensor.ts';
import { toChunks } from '../pipeline/tensor-chunks.ts';
import { traceSteps } from '../pipeline/trace-steps.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { Stage, StageContext } from '../triton/stage.ts';
import { type KeyframesTask, readTask } from './keyframes-task.ts';

/** Samples the keyframe network: turns a prompt's context into the latents of the keyframes. */
export const keyframesStage: Stage = {
  name: 'keyframes',
  settings: {},
  expectedModels: (preset) => [expectedModel(preset)],
  maxRequestBytes,
  prepare: () => (context) =>
    service(KeyframesServiceDefinition, {
      async *generateKeyframes(request: GenerateKeyframesRequest, { signal }) {
        const task = readTask(request, context.preset);
        await context.model.confirm(request.model, signal);
        const backendTime = new BackendTime();
        let latents = new Float32Array();
        const checkpoints = await openCheckpoints(context, task, signal);
        const { step: done = 0 } = checkpoints.from ?? {};
        const previewStep = task.previewStep > 0 ? Math.max(task.previewStep, done + 1) : 0;
        const steps = traceSteps('keyframes', denoise(context, task, checkpoints, backendTime, signal), done);
        for await (const state of steps) {
          const { step, total } = state;
          yield { event: { $case: 'progress' as const, value: { step, total } } };
          if (step === previewStep) {
            for (const chunk of toChunks(tensor('float32', task.latentShape, state.denoised))) {
              yield { event: { $case: 'preview' as const, value: chunk } };
            }
          }
          for await (const value of checkpoints.after(state)) {
            yield { event: { $case: 'checkpoint' as const, value } };
          }
          latents = state.latents as Float32Array<ArrayBuffer>;
        }
        await context.model.confirm(request.model, signal);
        backendTime.note('keyframes');
        for (const chunk of toChunks(handOver('keyframes', tensor('float32', task.latentShape, latents)))) {
          yield { event: { $case: 'latents' as const, value: chunk } };
        }
      },
    }),
};

/** Enough for two contexts of the longest prompts and a checkpoint. */
function maxRequestBytes(preset: Preset): number {
  const { textEncoder, keyframes } = preset;
  const contextBytes = textEncoder.maxTokens * (keyframes.network.context_dim * 4 + 1);
  return 2 * contextBytes + maxCheckpointArrays * maxLatentBytes(preset, keyframes.frames) + (64 << 10);
}

function expectedModel(preset: Preset) {
  return expectNetwork(modelNames.keyframes, 2, networkInterfaces.keyframes(preset));
}

function openCheckpoints({ model }: StageContext, task: KeyframesTask, signal: AbortSignal) {
  const { prompt, negativePrompt, latentShape, seed, sampling } = task;
  const texts = negativePrompt ? [prompt, negativePrompt] : [prompt];
  return Checkpoints.open({
    seconds: task.checkpointSeconds,
    given: task.checkpoint,
    inputs: [
      JSON.stringify([latentShape, String(seed), sampling]),
      ...texts.flatMap(({ context, contextMask }) => [tensorBytes(context), tensorBytes(contextMask)]),
    ],
    findModel: () => model.identify(signal),
  });
}

function denoise(
  { preset, triton }: StageContext,
  task: KeyframesTask,
  { from }: Checkpoints,
  backendTime: BackendTime,
  signal: AbortSignal,
) {
  const { keyframes } = preset;
  const [frames = 0, channels = 0, height = 0, width = 0] = task.latentShape;
  const itemSize = channels * height * width;
  const conditions = repeatConditions(task, keyframes);
  const [items = 0] = conditions.unconditional.shape;
  const model = expectedModel(preset);
  const length = frames * itemSize;
  const nextLevel = queueLevels(task.priority);

  return sample({
    stage: 'keyframes',
    sampler: createSampler(task.sampling.sampler, {
      schedule: keyframes.schedule,
      spacing: keyframes.spacing,
      steps: task.sampling.steps,
      prediction: keyframes.prediction,
      threshold: { itemSize, percentile: keyframes.thresholdPercentile },
    }),
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
          timestep: tensor('float32', [items, 1], new Float32Array(items).fill(timestep)),
          ...conditions,
        },
        { priority: nextLevel(), backendTime, signal },
      );
      const { data } = prediction;
      return items === 1 ? data : guide(data.subarray(0, length), data.subarray(length), task.sampling.guidanceScale);
    },
  });
}

/**
 * The inputs that are the same in every step. With guidance there are two items: first the prompt's, then the negative
 * prompt's or one marked unconditional, for which the model substitutes its null embedding.
 */
function repeatConditions(task: KeyframesTask, { frames, positionStride }: Preset['keyframes']) {
  const { prompt, negativePrompt = prompt, sampling } = task;
  const [tokens = 0, contextSize = 0] = prompt.context.shape;
  const texts = sampling.guidanceScale === 0 ? [prompt] : [prompt, negativePrompt];
  const items = texts.length;

  const context = new Float32Array(items * tokens * contextSize);
  const contextMask = new Uint8Array(items * tokens);
  const unconditional = new Uint8Array(items);
  texts.forEach((text, item) => {
    context.set(text.context.data, item * tokens * contextSize);
    contextMask.set(text.contextMask.data, item * tokens);
    unconditional[item] = item > 0 && !task.negativePrompt ? 1 : 0;
  });
  const positions = Float32Array.from({ length: frames }, (_, frame) => frame * positionStride);
  return {
    positions: tensor('float32', [items, frames], repeat(positions, items)),
    context: tensor('float32', [items, tokens, contextSize], context),
    context_mask: tensor('bool', [items, tokens], contextMask),
    unconditional: tensor('bool', [items, 1], unconditional),
  };
}

function repeat(values: Float32Array, times: number): Float32Array {
  const repeated = new Float32Array(values.length * times);
  for (let index = 0; index < times; index++) {
    repeated.set(values, index * values.length);
  }
  return repeated;
}
