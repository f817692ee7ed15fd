import {
  type EncodeKeyframesRequest,
  type GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { service } from '../kit/serve.ts';
import { BackendTime } from '../kit/telemetry/backend-time.ts';
import { Checkpoints } from '../pipeline/checkpoints.ts';
import { handOver } from '../pipeline/hand-over.ts';
import type { Preset } from '../pipeline/preset.ts';
import { type Tensor, tensor, tensorBytes } from '../pipeline/tensor.ts';
import { maxChunkMessageBytes, toChunks } from '../pipeline/tensor-chunks.ts';
import { maxTextBytes } from '../pipeline/text-context.ts';
import { traceSteps } from '../pipeline/trace-steps.ts';
import type { ExpectedModel } from '../triton/expected-model.ts';
import { frameDecoder } from '../triton/frame-decoder.ts';
import type { Stage, StageContext } from '../triton/stage.ts';
import { continueFirstFrame, leadingSteps } from './continue-first-frame.ts';
import { denoiseKeyframes, type KeyframesRun, keyframesModel, type Steps } from './denoise-keyframes.ts';
import { denoiseThings, joinThings } from './denoise-things.ts';
import { describeEncoder, encodeKeyframes, encoderOf } from './encode-keyframes.ts';
import { firstFrameModels } from './first-frame.ts';
import { inpaintKeyframes, inpaintThings, joinThingsOfPicture } from './inpaint-keyframes.ts';
import { type KeyframesTask, maxCheckpointBytes, readTask } from './keyframes-task.ts';
import { splitThings } from './split-things.ts';

/** Samples the keyframe network: turns a prompt's context into the latents of the keyframes. Also encodes given ones. */
export const keyframesStage: Stage = {
  name: 'keyframes',
  settings: {},
  expectedModels: modelsOf,
  maxRequestBytes,
  prepare: () => (context) =>
    service(KeyframesServiceDefinition, {
      async *generateKeyframes(request: GenerateKeyframesRequest, { signal }) {
        const task = readTask(request, context.preset);
        await context.model.confirmRecent(request.model, signal);
        const backendTime = new BackendTime();
        let latents: Float32Array = new Float32Array();
        const checkpoints = await openCheckpoints(context, task, signal);
        const { from } = checkpoints;
        const done = from?.step ?? 0;
        const previewStep = task.previewStep > 0 ? Math.max(leadingSteps(task) + task.previewStep, done + 1) : 0;
        const run = { ...context, task, from, backendTime, signal };
        const { steps, finish } = denoise(run);
        for await (const state of traceSteps('keyframes', steps, done)) {
          const { step, total } = state;
          yield { event: { $case: 'progress' as const, value: { step, total } } };
          if (step === previewStep) {
            const estimate = await finish(state.denoised);
            for (const chunk of toChunks(tensor('float32', task.latentShape, estimate))) {
              yield { event: { $case: 'preview' as const, value: chunk } };
            }
          }
          for await (const value of checkpoints.after(state)) {
            yield { event: { $case: 'checkpoint' as const, value } };
          }
          latents = state.latents;
        }
        const keyframes = tensor('float32', task.latentShape, await finish(latents));
        await context.model.confirm(request.model, signal);
        backendTime.note('keyframes');
        for (const chunk of toChunks(handOver('keyframes', keyframes))) {
          yield { event: { $case: 'latents' as const, value: chunk } };
        }
      },

      encodeKeyframes: (requests: AsyncIterable<EncodeKeyframesRequest>, { signal }) =>
        encodeKeyframes(context, requests, signal),

      describeEncoder: (_, { signal }) => describeEncoder(context, signal),
    }),
};

/** Enough for contexts of the longest prompts, a checkpoint and a picture, or for a piece of given keyframes. */
function maxRequestBytes(preset: Preset): number {
  const { textEncoder, keyframes } = preset;
  const { width, height } = preset.frameSize.maximum;
  const pictureBytes = preset.firstFrame ? 3 * width * height : 0;
  const texts = 2 + (preset.things?.most ?? 0);
  const textBytes = texts * maxTextBytes(textEncoder.maxTokens, keyframes.network);
  return Math.max(maxChunkMessageBytes, textBytes + pictureBytes + maxCheckpointBytes(preset) + (64 << 10));
}

function modelsOf(preset: Preset): ExpectedModel[] {
  switch (preset.firstFrame?.kind) {
    case 'conditioned':
      return Object.values(firstFrameModels(preset)!);
    case 'inpainted':
      return [keyframesModel(preset), encoderOf(preset), ...(preset.things ? [frameDecoder(preset)] : [])];
    case undefined:
      return [keyframesModel(preset)];
  }
}

interface Denoising {
  steps: Steps;
  /** Turns the sampled latents into keyframes [keyframes, 4, h, w]: joins things that were sampled one by one. */
  finish(latents: Float32Array): Promise<Float32Array<ArrayBuffer>>;
}

function denoise(run: KeyframesRun): Denoising {
  const { firstFrame, things } = run.task;
  const asTheyAre = async (latents: Float32Array) => latents as Float32Array<ArrayBuffer>;
  switch (firstFrame?.kind) {
    case 'conditioned':
      return { steps: continueFirstFrame(run, firstFrame), finish: asTheyAre };
    case 'inpainted': {
      const { picture } = firstFrame;
      const split = splitPicture(run, picture);
      return split
        ? {
            steps: inpaintThings(run, picture, split),
            finish: (latents) => joinThingsOfPicture(run, picture, split, latents),
          }
        : { steps: inpaintKeyframes(run, picture), finish: asTheyAre };
    }
    case undefined:
      return things.length > 0
        ? { steps: denoiseThings(run), finish: (latents) => joinThings(run, latents) }
        : { steps: denoiseKeyframes(run), finish: asTheyAre };
  }
}

/** Undefined if things are not to be sampled one by one, or the picture does not show them apart. */
function splitPicture({ preset, task: { things } }: KeyframesRun, { shape, data }: Tensor<'uint8'>) {
  const [height = 0, width = 0] = shape;
  return things.length > 0 ? splitThings(data, { width, height }, things.length, preset.things!.scale) : undefined;
}

function openCheckpoints({ model }: StageContext, task: KeyframesTask, signal: AbortSignal) {
  const { prompt, negativePrompt, things, latentShape, seed, sampling, firstFrame } = task;
  const { picture, ...continued } = firstFrame ?? {};
  const texts = [prompt, ...(negativePrompt ? [negativePrompt] : []), ...things];
  return Checkpoints.open({
    seconds: task.checkpointSeconds,
    given: task.checkpoint,
    inputs: [
      JSON.stringify([
        latentShape,
        String(seed),
        sampling,
        ...(firstFrame ? [continued] : []),
        ...(things.length > 0 ? [things.length] : []),
      ]),
      ...(picture ? [tensorBytes(picture)] : []),
      ...texts.flatMap(({ context, contextMask }) => [tensorBytes(context), tensorBytes(contextMask)]),
    ],
    findModel: () => model.identify(signal),
    findFirstModel: () => model.identifyRecent(signal),
  });
}
