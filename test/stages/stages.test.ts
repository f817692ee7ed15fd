import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import {
  type InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import {
  type GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { Sampler } from '../../proto/gen/fusionframes/v1/tensor.ts';
import {
  type EncodeRequest,
  TextEncoderServiceDefinition,
  type TextEncoding,
} from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import { decoderStage } from '../../services/decoder/decoder-stage.ts';
import { interpolationStage } from '../../services/interpolation/interpolation-stage.ts';
import { keyframesStage } from '../../services/keyframes/keyframes-stage.ts';
import { type ConnectedClient, connect } from '../../services/kit/channel.ts';
import { modelNames } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { fromWireTensor, toWireTensor } from '../../services/pipeline/tensor-chunks.ts';
import { textEncoderStage } from '../../services/text-encoder/text-encoder-stage.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import {
  checkpointSeconds,
  checkpointsOf,
  decodeFrames,
  decodeRequests,
  equal,
  generateKeyframes,
  interpolateBy,
  keyframesRequest,
  noise,
  piece,
  samplers,
} from './stage-calls.ts';

let backend: Backend;
const connections: { close(): void }[] = [];
beforeAll(async () => {
  backend = await startBackend();
});
afterAll(async () => {
  for (const connection of connections) {
    connection.close();
  }
  await backend.stop();
});

function client<D extends Parameters<typeof connect>[0]>(definition: D, address: string): ConnectedClient<D> {
  const connection = connect(definition, address);
  connections.push(connection);
  return connection.client;
}

/** How often the server has run a model. */
async function executions(model: string): Promise<number> {
  const inference = client(GRPCInferenceServiceDefinition, backend.inferenceAddress);
  const { modelStats } = await inference.modelStatistics({ name: model });
  return Number(modelStats[0]?.executionCount);
}

describe('text encoder', () => {
  let textEncoder: ConnectedClient<TextEncoderServiceDefinition>;
  beforeAll(async () => {
    textEncoder = client(TextEncoderServiceDefinition, await backend.start(textEncoderStage));
  });

  const encode = (request: Partial<EncodeRequest>) => textEncoder.encode(request);

  function read(encoding: TextEncoding | undefined) {
    const context = fromWireTensor('context', encoding?.context, 'float32', 2);
    const { data: mask } = fromWireTensor('mask', encoding?.contextMask, 'bool', 1);
    return { shape: context.shape, context: context.data, mask };
  }

  test('a prompt becomes the context of its words, followed by zeros', async () => {
    const { contextTokens, network } = backend.preset.textEncoder;
    const prompt = 'a large red circle moving left on a navy background';
    const response = await encode({ prompt });
    const { shape, context, mask } = read(response.prompt);
    const words = prompt.split(' ').length + 1;
    const size = network.context_dim;
    expect(shape).toEqual([contextTokens, size]);
    expect([...mask]).toEqual(Array.from({ length: contextTokens as number }, (_, i) => (i < words ? 1 : 0)));
    expect(context.subarray(0, words * size).every((value) => value !== 0 && Number.isFinite(value))).toBe(true);
    expect(context.subarray(words * size).every((value) => value === 0)).toBe(true);
    expect(response.truncatedTokens).toBe(0);
  });

  test('prompts encoded together or alone give the same bytes, and other words give others', async () => {
    const prompts = ['red', 'blue', 'green', 'a small star'].map((prompt) => ({ prompt: `${prompt} moving up` }));
    const together = await Promise.all(prompts.map(encode));
    const another = client(TextEncoderServiceDefinition, await backend.start(textEncoderStage));
    for (const [i, prompt] of prompts.entries()) {
      expect(await another.encode(prompt)).toEqual(together[i]);
    }
    const contexts = together.map(({ prompt }) => Buffer.from(prompt!.context!.data).toString('hex'));
    expect(new Set(contexts).size).toBe(prompts.length);
  });

  test('a negative prompt has its own context with the same mask', async () => {
    const response = await encode({ prompt: 'a red circle', negativePrompt: 'blue' });
    const [prompt, negative] = [read(response.prompt), read(response.negativePrompt)];
    expect(negative.shape).toEqual(prompt.shape);
    expect(negative.mask).toEqual(prompt.mask);
    expect(negative.context).not.toEqual(prompt.context);
  });
});

describe('keyframes', () => {
  let keyframes: ConnectedClient<KeyframesServiceDefinition>;
  beforeAll(async () => {
    keyframes = client(KeyframesServiceDefinition, await backend.start(keyframesStage));
  });

  const request = (changes?: Partial<GenerateKeyframesRequest>) => keyframesRequest(backend.preset, changes);
  const generate = (changes?: Partial<GenerateKeyframesRequest>) => generateKeyframes(keyframes, request(changes));

  test('arrive step by step and then complete, within the thresholding range', async () => {
    const { steps, latents } = await generate();
    expect(steps).toEqual(['1/3', '2/3', '3/3']);
    expect(latents.shape).toEqual([5, 4, 8, 8]);
    expect(latents.data.every((value) => Math.abs(value) <= 1)).toBe(true);
  });

  test('show an estimate half-way, which does not affect the result', async () => {
    const { steps, latents, preview } = await generate({ previewStep: 2 });
    expect(steps).toEqual(['1/3', '2/3', 'preview', '3/3']);
    expect(preview().shape).toEqual(latents.shape);
    expect(equal(preview(), latents)).toBe(false);
    expect(equal((await generate()).latents, latents)).toBe(true);
  });

  test('depend only on the request: seed, prompt, negative prompt, guidance, sampler', async () => {
    const { latents } = await generate();
    expect(equal(latents, (await generate()).latents)).toBe(true);
    const others = await Promise.all([
      generate({ seed: 6n }),
      generate({ negativePrompt: request().prompt as GenerateKeyframesRequest['prompt'] }),
      generate({ sampling: { steps: 3, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: 0 } }),
      generate({ sampling: { steps: 3, sampler: Sampler.SAMPLER_DDIM, guidanceScale: undefined } }),
      generate({ sampling: { steps: 3, sampler: Sampler.SAMPLER_ANCESTRAL, guidanceScale: undefined } }),
      generate({ sampling: { steps: 3, sampler: Sampler.SAMPLER_UNIPC, guidanceScale: undefined } }),
    ]);
    for (const other of others) {
      expect(equal(latents, other.latents)).toBe(false);
    }
  });

  test.each(samplers)('continue after any recorded step, to the same bytes, with sampler %i', async (sampler) => {
    const sampling = { sampler, steps: 4, guidanceScale: undefined };
    const whole = await generate({ sampling, checkpointSeconds });
    const recorded = checkpointsOf(whole.pieces);
    expect(recorded.map(([{ header }]) => header!.step)).toEqual([1, 2, 3]);
    for (const checkpoint of recorded) {
      const step = checkpoint[0].header!.step;
      const rest = await generate({ sampling, checkpoint, previewStep: 2 });
      const preview = Math.max(2, step + 1);
      const expected = [1, 2, 3, 4].flatMap((each) => [`${each}/4`, ...(each === preview ? ['preview'] : [])]);
      expect(rest.steps).toEqual(expected.slice(expected.indexOf(`${step}/4`) + (step === preview ? 2 : 1)));
      expect(equal(rest.latents, whole.latents)).toBe(true);
    }
    const checkpoint = recorded[1]!;
    const together = await Promise.all([generate({ sampling, checkpoint }), generate({ sampling, seed: 1n })]);
    expect(equal(together[0].latents, whole.latents)).toBe(true);
  });

  test('start over rather than continue another run', async () => {
    const { pieces } = await generate({ checkpointSeconds });
    const checkpoint = checkpointsOf(pieces)[0]!;
    const [{ header, state }] = checkpoint;
    const strangers: Partial<GenerateKeyframesRequest>[] = [
      { seed: 6n, checkpoint },
      { sampling: { steps: 4, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: undefined }, checkpoint },
      { negativePrompt: request().prompt as GenerateKeyframesRequest['prompt'], checkpoint },
      { checkpoint: [{ header: { ...header!, run: 'another' }, state }] },
      { checkpoint: [{ header: { ...header!, step: 3 }, state }] },
    ];
    for (const changes of strangers) {
      const { steps, latents } = await generate(changes);
      expect(steps[0]).toMatch(/^1\//);
      expect(equal(latents, (await generate({ ...changes, checkpoint: [] })).latents)).toBe(true);
    }
  });

  test('are the same when batched with other jobs', async () => {
    const alone = await generate();
    const together = await Promise.all([generate({ seed: 1n }), generate(), generate({ seed: 2n }), generate()]);
    expect(equal(together[1].latents, alone.latents)).toBe(true);
    expect(equal(together[3].latents, alone.latents)).toBe(true);
  });

  test('a negative prompt equal to the prompt means no guidance', async () => {
    const prompt = request().prompt as NonNullable<GenerateKeyframesRequest['prompt']>;
    const sampling = { steps: 3, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: 0 };
    const [same, none] = [await generate({ negativePrompt: prompt }), await generate({ sampling })];
    const largest = Math.max(...same.latents.data.map((value, i) => Math.abs(value - none.latents.data[i]!)));
    expect(largest).toBeLessThan(1e-3);
  });

  test('a cancelled call makes no further inference request', async () => {
    const cancel = new AbortController();
    const before = await executions(modelNames.keyframes);
    let step = 0;
    const call = (async () => {
      const sampling = { steps: 1000, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: undefined };
      const events = keyframes.generateKeyframes(request({ sampling }), { signal: cancel.signal });
      for await (const { event } of events) {
        step = event?.$case === 'progress' ? event.value.step : step;
        if (step === 3) {
          cancel.abort();
        }
      }
    })();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    // Earlier work has ended when a later call is answered.
    await generate({ sampling: { steps: 1, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: undefined } });
    const settled = await executions(modelNames.keyframes);
    await generate({ sampling: { steps: 1, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: undefined } });
    expect(await executions(modelNames.keyframes)).toBe(settled + 1);
    expect(settled - before).toBeLessThan(500);
  });

  const text = () => request().prompt as NonNullable<GenerateKeyframesRequest['prompt']>;
  const mask = (length: number) => toWireTensor(tensor('bool', [length], new Uint8Array(length)));
  test.each<[string, () => Partial<GenerateKeyframesRequest>, string]>([
    ['no prompt', () => ({ prompt: undefined }), 'prompt.context'],
    [
      'a context of another width',
      () => ({ prompt: { ...text(), context: toWireTensor(noise([24, 8])) } }),
      'prompt.context',
    ],
    ['a mask of another length', () => ({ prompt: { ...text(), contextMask: mask(3) } }), 'prompt.context_mask'],
    [
      'a negative prompt of another length',
      () => ({ negativePrompt: { context: toWireTensor(noise([3, 128])), contextMask: mask(3) } }),
      'negative_prompt.context',
    ],
    ['a size that is not a multiple of 8', () => ({ width: 63 }), 'size'],
    ['a size beyond the limits', () => ({ width: 4096, height: 4096 }), 'size'],
    ['too many steps', () => ({ sampling: { steps: 1001, sampler: 0, guidanceScale: undefined } }), 'sampling.steps'],
    [
      'a scale that is not a number',
      () => ({ sampling: { steps: 1, sampler: 0, guidanceScale: Number.NaN } }),
      'sampling.guidance_scale',
    ],
    [
      'an unknown sampler',
      () => ({ sampling: { steps: 1, sampler: 77 as Sampler, guidanceScale: 1 } }),
      'sampling.sampler',
    ],
    ['a priority beyond the limits', () => ({ priority: 101 }), 'priority'],
    ['an interval below 0', () => ({ checkpointSeconds: -1 }), 'checkpoint_seconds'],
    ['a part of a checkpoint', () => ({ checkpoint: [piece({ step: 1, run: '' }, new Uint8Array(4))] }), 'checkpoint'],
    ['a checkpoint without its header', () => ({ checkpoint: [piece(undefined, new Uint8Array(8))] }), 'checkpoint'],
  ])('%s is refused, naming the field', async (_, changes, field) => {
    await expect(generate(changes())).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field });
  });
});

describe('interpolation', () => {
  let interpolation: ConnectedClient<InterpolationServiceDefinition>;
  beforeAll(async () => {
    interpolation = client(InterpolationServiceDefinition, await backend.start(interpolationStage));
  });

  async function interpolate(latents: Tensor, parameters: Partial<InterpolateParameters> = {}, by = interpolation) {
    const { steps, video } = await interpolateBy(by, latents, parameters);
    expect(steps).toEqual([1, 2]);
    return video;
  }

  test.each(samplers)('continues after any recorded step, to the same bytes, with sampler %i', async (sampler) => {
    const frames = noise([3, 4, 8, 8]);
    const sampling = { sampler, steps: 3, guidanceScale: 1 };
    const whole = await interpolateBy(interpolation, frames, { sampling, checkpointSeconds });
    const recorded = checkpointsOf(whole.pieces);
    expect(recorded).toHaveLength(2);
    for (const checkpoint of recorded) {
      const rest = await interpolateBy(interpolation, frames, { sampling }, checkpoint);
      expect(rest.steps).toEqual([1, 2, 3].slice(checkpoint[0].header!.step));
      expect(equal(rest.video, whole.video)).toBe(true);
      const other = await interpolateBy(interpolation, noise([3, 4, 8, 8], 7), { sampling }, checkpoint);
      expect(other.steps).toEqual([1, 2, 3]);
    }
  });

  test('keeps the given frames as every fourth one', async () => {
    const frames = noise([5, 4, 8, 8]);
    const video = await interpolate(frames);
    expect(video.shape).toEqual([17, 4, 8, 8]);
    for (let frame = 0; frame < 5; frame++) {
      expect(video.data.subarray(frame * 4 * 256, frame * 4 * 256 + 256)).toEqual(
        frames.data.subarray(frame * 256, (frame + 1) * 256),
      );
    }
  });

  test('depends only on seed and pass', async () => {
    const frames = noise([2, 4, 8, 8]);
    const video = await interpolate(frames);
    expect(equal(video, await interpolate(frames))).toBe(true);
    expect(equal(video, await interpolate(frames, { seed: 6n }))).toBe(false);
    expect(equal(video, await interpolate(frames, { pass: 1 }))).toBe(false);
  });

  test("depends only on the pass if the network ignores the noise, like nano's", async () => {
    const nano = await startBackend('nano');
    try {
      const other = client(InterpolationServiceDefinition, await nano.start(interpolationStage));
      const frames = noise([2, 4, 16, 16]);
      const video = await interpolate(frames, {}, other);
      expect(equal(video, await interpolate(frames, { seed: 6n }, other))).toBe(true);
      expect(equal(video, await interpolate(frames, { pass: 1 }, other))).toBe(false);
    } finally {
      await nano.stop();
    }
  });

  test.each<[string, Tensor, Partial<InterpolateParameters>, string]>([
    ['one frame', noise([1, 4, 8, 8]), {}, 'latents'],
    ['another number of channels', noise([2, 3, 8, 8]), {}, 'latents'],
    ['a size beyond the limits', noise([2, 4, 8, 128]), {}, 'latents'],
    ['an unknown pass', noise([2, 4, 8, 8]), { pass: 2 }, 'parameters.pass'],
    ['a priority beyond the limits', noise([2, 4, 8, 8]), { priority: -101 }, 'parameters.priority'],
    ['an interval below 0', noise([2, 4, 8, 8]), { checkpointSeconds: -1 }, 'parameters.checkpoint_seconds'],
    ['noise that the network is not told of', noise([2, 4, 8, 8]), { perturbation: 1 }, 'parameters.perturbation'],
  ])('%s is refused, naming the field', async (_, latents, parameters, field) => {
    await expect(interpolate(latents, parameters)).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field });
  });
});

describe('decoder', () => {
  let decoder: ConnectedClient<DecoderServiceDefinition>;
  beforeAll(async () => {
    decoder = client(DecoderServiceDefinition, await backend.start(decoderStage));
  });

  const decode = (latents: Tensor) => decodeFrames(decoder, latents);

  test('returns every frame in order, each the same as when decoded alone', async () => {
    const latents = noise([19, 4, 8, 8]);
    const frames = await decode(latents);
    expect(frames).toHaveLength(19);
    expect(frames[0]!.shape).toEqual([64, 64, 3]);
    const last = tensor('float32', [1, 4, 8, 8], latents.data.slice(18 * 256));
    expect(equal((await decode(last))[0]!, frames[18]!)).toBe(true);
  });

  test('stops when its reader leaves', async () => {
    for await (const _ of decoder.decode(decodeRequests(noise([57, 4, 8, 8])))) {
      break;
    }
    expect(await decode(noise([1, 4, 8, 8]))).toHaveLength(1);
  });

  test('a priority beyond the limits is refused', async () => {
    const call = decoder.decode(
      (async function* () {
        yield { priority: 101 };
      })(),
    );
    await expect(call[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
      field: 'priority',
    });
  });

  test('an empty stream is rejected', async () => {
    const call = decoder.decode((async function* () {})());
    await expect(call[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: Status.INVALID_ARGUMENT,
      field: 'latents',
    });
  });
});

test('a model that does not match the preset is rejected at startup, naming the tensors', async () => {
  const { preset } = backend;
  const network = { ...preset.keyframes.network, num_frames: 7 };
  const other = { ...preset, keyframes: { ...preset.keyframes, frames: 7, network } };
  await expect(backend.start(keyframesStage, other)).rejects.toMatchObject({
    code: Status.FAILED_PRECONDITION,
    message: expect.stringMatching(/input latents +FP32 \[-1,7,4,-1,-1\] +FP32 \[-1,5,4,-1,-1\]/),
  });
});
