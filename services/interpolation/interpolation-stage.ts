import {
  type InterpolateRequest,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { guide } from '../diffusion/guidance.ts';
import { noisePurpose } from '../diffusion/noise.ts';
import { sample } from '../diffusion/sample.ts';
import { createSampler } from '../diffusion/samplers/create-sampler.ts';
import { addBlend, framesPerGroup, interleave } from '../diffusion/temporal-groups.ts';
import { service } from '../kit/serve.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { Checkpoints } from '../pipeline/checkpoints.ts';
import { handOver } from '../pipeline/hand-over.ts';
import { networkInterfaces } from '../pipeline/networks/preset-networks.ts';
import { isInterpolationUNet11 } from '../pipeline/networks/unet-1.1.ts';
import { framesAfterPass, modelNames, type Preset } from '../pipeline/preset.ts';
import { tensor, tensorBytes } from '../pipeline/tensor.ts';
import { maxChunkMessageBytes, toChunks } from '../pipeline/tensor-chunks.ts';
import { maxTextBytes, type TextContext } from '../pipeline/text-context.ts';
import { traceSteps } from '../pipeline/trace-steps.ts';
import { expectNetwork } from '../triton/expected-model.ts';
import { queueLevels } from '../triton/queue-level.ts';
import type { Stage, StageContext } from '../triton/stage.ts';
import { designOf } from './designs.ts';
import { type InterpolationTask, receiveTask } from './interpolation-task.ts';
import { perturbFrames } from './perturb-frames.ts';

/** Samples the interpolation network: one pass adds three frames between each two neighbours. */
export const interpolationStage: Stage = {
  name: 'interpolation',
  settings: {},
  expectedModels: (preset) => [expectedModel(preset)],
  maxRequestBytes: ({ interpolation: { network }, textEncoder }) =>
    maxChunkMessageBytes + (isInterpolationUNet11(network) ? maxTextBytes(textEncoder.maxTokens, network) : 0),
  prepare: () => (context) =>
    service(InterpolationServiceDefinition, {
      async *interpolate(requests: AsyncIterable<InterpolateRequest>, { signal }) {
        const task = await receiveTask(requests, context.preset);
        await context.model.confirmRecent(task.model, signal);
        const { frames, frameSize } = task;
        const [count = 0, ...frameShape] = frames.shape;
        const backendTime = new BackendTime();
        const seen = perturbFrames(context.preset, task);
        let groups: Float32Array = new Float32Array();
        const checkpoints = await openCheckpoints(context, task, signal);
        const denoising = denoise(context, task, seen, checkpoints, backendTime, signal);
        for await (const state of traceSteps('interpolation', denoising, checkpoints.from?.step)) {
          const { step, total } = state;
          yield { event: { $case: 'progress' as const, value: { step, total } } };
          for await (const value of checkpoints.after(state)) {
            yield { event: { $case: 'checkpoint' as const, value } };
          }
          groups = state.latents;
        }
        await context.model.confirm(task.model, signal);
        backendTime.note('interpolation');
        if (context.preset.interpolation.target === 'difference') {
          addBlend(groups, seen, frameSize);
        }
        const video = tensor(
          'float32',
          [framesAfterPass(count), ...frameShape],
          interleave(frames.data, groups, frameSize),
        );
        for (const chunk of toChunks(handOver('interpolation', video))) {
          yield { event: { $case: 'latents' as const, value: chunk } };
        }
      },
    }),
};

function expectedModel(preset: Preset) {
  return expectNetwork(modelNames.interpolation, designOf(preset).maxItems, networkInterfaces.interpolation(preset));
}

function openCheckpoints({ model }: StageContext, task: InterpolationTask, signal: AbortSignal) {
  const { frames, pass, seed, sampling, perturbation, prompt } = task;
  return Checkpoints.open({
    seconds: task.checkpointSeconds,
    given: task.checkpoint,
    inputs: [
      JSON.stringify([pass, frames.shape, String(seed), sampling, ...(perturbation > 0 ? [perturbation] : [])]),
      tensorBytes(frames),
      ...(prompt ? [tensorBytes(prompt.context), tensorBytes(prompt.contextMask)] : []),
    ],
    findModel: () => model.identify(signal),
    findFirstModel: () => model.identifyRecent(signal),
  });
}

/** @param seen the frames as the network sees them */
function denoise(
  { preset, triton, steps }: StageContext,
  task: InterpolationTask,
  seen: Float32Array,
  { from }: Checkpoints,
  backendTime: BackendTime,
  signal: AbortSignal,
) {
  const { interpolation } = preset;
  const model = expectedModel(preset);
  const { frames, frameSize, pass, sampling } = task;
  const [count = 0, , height = 0, width = 0] = frames.shape;
  const groups = count - 1;
  const design = designOf(preset);
  const times = sampling.guidanceScale === 0 ? 1 : 2;
  const itemSize = framesPerGroup * frameSize;
  const length = groups * itemSize;
  const inputLength = groups * design.pairLength(frameSize);
  const [items, perItem] = design.leading(times, groups);
  const itemShape = [perItem, interpolation.network.num_channels, height, width];
  const nextLevel = queueLevels(task.priority);
  const skip = BigInt(interpolation.skips[pass]!);
  const text = task.prompt && promptInputs(task.prompt, times);

  return sample({
    stage: 'interpolation',
    sampler: createSampler(sampling.sampler, {
      schedule: interpolation.schedule,
      spacing: interpolation.spacing,
      steps: sampling.steps,
      prediction: interpolation.prediction,
      threshold: { itemSize, percentile: interpolation.thresholdPercentile },
    }),
    length,
    seed: task.seed,
    purpose: noisePurpose.interpolation[pass]!,
    from,
    signal,
    async predict(noisy, timestep) {
      // The second, unconditional half sees only the noise.
      const input = new Float32Array(times * inputLength);
      design.write(noisy, seen, frameSize, input.subarray(0, inputLength));
      if (times === 2) {
        design.write(noisy, undefined, frameSize, input.subarray(inputLength));
      }
      const data = new Float32Array(times * length);
      for (let item = 0; item < items; item += design.maxItems) {
        const count = Math.min(design.maxItems, items - item);
        const [start, end] = [item, item + count].map((index) => (index * input.length) / items);
        const { prediction } = await steps.infer(
          model,
          {
            latents: tensor('float32', [count, ...itemShape], input.subarray(start, end)),
            timestep: tensor('float32', [count, 1], new Float32Array(count).fill(timestep)),
            skip: tensor('int64', [count, 1], new BigInt64Array(count).fill(skip)),
            ...('perturbation' in model.inputs && {
              perturbation: tensor('float32', [count, 1], new Float32Array(count).fill(task.perturbation)),
            }),
            // A network that reads the prompt sees the pairs of a pass in one request.
            ...text,
          },
          { priority: nextLevel(), backendTime, signal },
        );
        data.set(design.read(prediction.data, frameSize), (item * data.length) / items);
        triton.release({ prediction });
      }
      return times === 1 ? data : guide(data.subarray(0, length), data.subarray(length), sampling.guidanceScale);
    },
  });
}

/** The prompt for the first item; the second has none. */
function promptInputs({ context, contextMask }: TextContext, items: number) {
  const repeat = <T extends Float32Array | Uint8Array>(values: T, repeated: T): T => {
    for (let item = 0; item < items; item++) {
      repeated.set(values, item * values.length);
    }
    return repeated;
  };
  return {
    context: tensor(
      'float32',
      [items, ...context.shape],
      repeat(context.data, new Float32Array(items * context.data.length)),
    ),
    context_mask: tensor(
      'bool',
      [items, ...contextMask.shape],
      repeat(contextMask.data, new Uint8Array(items * contextMask.data.length)),
    ),
    unconditional: tensor('bool', [items, 1], Uint8Array.of(0, 1).subarray(0, items)),
  };
}
