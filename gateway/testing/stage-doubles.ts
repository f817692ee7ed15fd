import { type DecodeRequest, DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import {
  type InterpolateRequest,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { type EncodeKeyframesRequest, KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { ModelServiceDefinition } from '../../proto/gen/fusionframes/v1/model.ts';
import type { CheckpointPiece, TensorChunk } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { createLogger } from '../../services/kit/log.ts';
import { type RunningServer, serve, service } from '../../services/kit/serve.ts';
import { toPieces } from '../../services/pipeline/checkpoint-pieces.ts';
import { framesAfterPass } from '../../services/pipeline/preset.ts';
import { elementCount, type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { fromWireTensor, TensorAssembler, toChunks, toWireTensor } from '../../services/pipeline/tensor-chunks.ts';

/** Called at every step of a stage; may wait or throw. */
export interface StageHooks {
  encode?(signal: AbortSignal): Promise<void>;
  keyframes?(step: number, signal: AbortSignal): Promise<void>;
  /** Gets the picture of each call of the keyframes that has one. */
  picture?(picture: Tensor<'uint8'>): void;
  /** Gets the number of things in each call of the keyframes. */
  things?(count: number): void;
  interpolation?(step: number, signal: AbortSignal): Promise<void>;
  decoder?(frame: number, signal: AbortSignal, total: number): Promise<void>;
  /** Whether the keyframes stage has the encoder. Default: it has. */
  encoder?(): boolean | Promise<boolean>;
  /** Name of the model of all stages. Default: none, as with stages of the previous release. */
  model?(): string;
}

/** A hook that hangs until the call is cancelled. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(new DOMException('aborted', 'AbortError'));
    if (signal.aborted) {
      abort();
    }
    signal.addEventListener('abort', abort);
  });
}

const keyframeCount = 15;
const maxTokens = 24;

/**
 * Implements the four contracts without networks, over real gRPC: keyframes are plain colours chosen by the seed and the picture, and
 * the frames between them are blended.
 */
export function startStageDoubles(hooks: StageHooks = {}, address = '127.0.0.1:0'): Promise<RunningServer> {
  return serve({
    address,
    services: [
      textEncoder(hooks),
      keyframes(hooks),
      interpolation(hooks),
      decoder(hooks),
      ...(hooks.model ? [models(hooks.model)] : []),
    ],
    log: createLogger('stage-doubles', 'silent'),
    drainSeconds: 0,
  });
}

function models(name: () => string) {
  return service(ModelServiceDefinition, { describeModel: async () => ({ model: name() }) });
}

function textEncoder(hooks: StageHooks) {
  return service(TextEncoderServiceDefinition, {
    async encode({ prompt, negativePrompt }, { signal }) {
      await hooks.encode?.(signal);
      const encoding = {
        context: toWireTensor(tensor('float32', [2, 4], new Float32Array(8).fill(prompt.length))),
        contextMask: toWireTensor(tensor('bool', [2], new Uint8Array([1, 1]))),
      };
      return {
        prompt: encoding,
        negativePrompt: negativePrompt === '' ? undefined : encoding,
        truncatedTokens: Math.max(0, prompt.split(' ').length - maxTokens),
        maxTokens,
        unknownWords: prompt.split(' ').filter((word) => /[^\x20-\x7e]/.test(word)),
        isOverflowed: prompt.includes('overflow'),
        isNegativeOverflowed: negativePrompt.includes('overflow'),
      };
    },
  });
}

function keyframes(hooks: StageHooks) {
  return service(KeyframesServiceDefinition, {
    async *generateKeyframes(
      { width, height, seed, sampling, previewStep, checkpointSeconds, checkpoint, firstFrame, things },
      { signal },
    ) {
      const picture = firstFrame?.picture && fromWireTensor('picture', firstFrame.picture, 'uint8', 3);
      const [r = 0, g = 0, b = 0] = picture?.data ?? [];
      const colour = picture ? (1 + r + 2 * g + 3 * b) / 500 : 0;
      hooks.things?.(things.length);
      if (picture) {
        hooks.picture?.(picture);
      }
      const frameLength = (4 * width * height) / 64;
      const data = Float32Array.from({ length: keyframeCount * frameLength }, (_, index) =>
        Math.sin(Number(seed % 1000n) + colour + Math.floor(index / frameLength)),
      );
      const latents = tensor('float32', [keyframeCount, 4, height / 8, width / 8], data);
      const run = `keyframes of ${seed}`;
      for (const value of steps(sampling!.steps, run, checkpoint)) {
        await hooks.keyframes?.(value.step, signal);
        yield { event: { $case: 'progress' as const, value } };
        for (const piece of checkpointSeconds > 0 ? checkpointAfter(value.step, run) : []) {
          yield { event: { $case: 'checkpoint' as const, value: piece } };
        }
        if (value.step === previewStep) {
          for (const chunk of toChunks(latents)) {
            yield { event: { $case: 'preview' as const, value: chunk } };
          }
        }
      }
      for (const value of toChunks(latents)) {
        yield { event: { $case: 'latents' as const, value } };
      }
    },

    async *encodeKeyframes(requests: AsyncIterable<EncodeKeyframesRequest>, { signal }) {
      const assembler = new TensorAssembler({ field: 'pictures', dataType: 'uint8', rank: 4, maxBytes: 1 << 28 });
      for await (const { pictures } of requests) {
        assembler.add(pictures!);
      }
      const { shape, data } = assembler.finish();
      const [total = 0, height = 0, width = 0] = shape;
      const frameLength = (4 * width * height) / 64;
      const latents = new Float32Array(total * frameLength);
      for (let index = 0; index < total; index++) {
        await hooks.keyframes?.(index + 1, signal);
        // What the decoder below shows in the grey of the picture's first pixel.
        latents.fill((data[index * height * width * 3]! - 128) / 100, index * frameLength, (index + 1) * frameLength);
        yield { event: { $case: 'progress' as const, value: { step: index + 1, total } } };
      }
      for (const value of toChunks(tensor('float32', [total, 4, height / 8, width / 8], latents))) {
        yield { event: { $case: 'latents' as const, value } };
      }
    },

    describeEncoder: async () => ({ model: 'movq_encoder', ready: (await hooks.encoder?.()) ?? true }),
  });
}

function interpolation(hooks: StageHooks) {
  return service(InterpolationServiceDefinition, {
    async *interpolate(requests: AsyncIterable<InterpolateRequest>, { signal }) {
      const chunks: TensorChunk[] = [];
      const checkpoint: CheckpointPiece[] = [];
      let [stepCount, checkpointSeconds, run] = [0, 0, ''];
      for await (const { part } of requests) {
        if (part?.$case === 'latents') {
          chunks.push(part.value);
        } else if (part?.$case === 'checkpoint') {
          checkpoint.push(part.value);
        } else {
          const { sampling, pass, seed } = part!.value;
          stepCount = sampling!.steps;
          ({ checkpointSeconds } = part!.value);
          run = `pass ${pass} of ${seed}`;
        }
      }
      for (const value of steps(stepCount, run, checkpoint)) {
        await hooks.interpolation?.(value.step, signal);
        yield { event: { $case: 'progress' as const, value } };
        for (const piece of checkpointSeconds > 0 ? checkpointAfter(value.step, run) : []) {
          yield { event: { $case: 'checkpoint' as const, value: piece } };
        }
      }
      for (const value of toChunks(blend(assemble(chunks)))) {
        yield { event: { $case: 'latents' as const, value } };
      }
    },
  });
}

function decoder(hooks: StageHooks) {
  return service(DecoderServiceDefinition, {
    async *decode(requests: AsyncIterable<DecodeRequest>, { signal }) {
      const chunks: TensorChunk[] = [];
      for await (const { latents } of requests) {
        chunks.push(latents!);
      }
      const { shape, data } = assemble(chunks);
      const [total = 0, , height = 0, width = 0] = shape;
      const frameLength = data.length / total;
      for (let index = 0; index < total; index++) {
        await hooks.decoder?.(index, signal, total);
        const grey = Math.round(128 + 100 * data[index * frameLength]!);
        const pixels = new Uint8Array(8 * height * 8 * width * 3).fill(grey);
        for (const rgb of toChunks(tensor('uint8', [8 * height, 8 * width, 3], pixels))) {
          yield { index, total, rgb };
        }
      }
    },
  });
}

/** The steps of a run, of which those before its own checkpoint are not repeated. */
function* steps(total: number, run: string, checkpoint: readonly CheckpointPiece[]) {
  const { header } = checkpoint[0] ?? {};
  for (let step = header?.run === run ? header.step + 1 : 1; step <= total; step++) {
    yield { step, total };
  }
}

function checkpointAfter(step: number, run: string) {
  return toPieces({ step, run, state: tensor('float32', [1, 1], new Float32Array([step])) });
}

function assemble(chunks: TensorChunk[]): Tensor<'float32'> {
  const assembler = new TensorAssembler({ field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 28 });
  for (const chunk of chunks) {
    assembler.add(chunk);
  }
  return assembler.finish();
}

function blend({ shape, data }: Tensor<'float32'>): Tensor<'float32'> {
  const [frames = 0, ...frameShape] = shape;
  const length = elementCount(frameShape);
  const longer = Float32Array.from({ length: framesAfterPass(frames) * length }, (_, index) => {
    const time = Math.floor(index / length) / 4;
    const left = data[Math.floor(time) * length]!;
    const right = data[Math.ceil(time) * length]!;
    return left + (right - left) * (time % 1);
  });
  return tensor('float32', [framesAfterPass(frames), ...frameShape], longer);
}
