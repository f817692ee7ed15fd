import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  InterpolateParameters,
  InterpolationServiceDefinition,
} from '../../proto/gen/fusionframes/v1/interpolation.ts';
import {
  FirstFrame,
  GenerateKeyframesRequest,
  KeyframesServiceDefinition,
} from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { type CheckpointPiece, Motion, Sampler } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { normalNoise } from '../../services/diffusion/noise.ts';
import { interpolationStage } from '../../services/interpolation/interpolation-stage.ts';
import { keyframesStage } from '../../services/keyframes/keyframes-stage.ts';
import { type Connection, connect } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { tensor } from '../../services/pipeline/tensor.ts';
import { TensorAssembler, toChunks, toWireTensor } from '../../services/pipeline/tensor-chunks.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { encodeKeyframes } from '../support/encode-keyframes.ts';
import { tinyPreset11 } from '../support/published-files-1.1.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

let backend: Backend;
let interpolation: Connection<InterpolationServiceDefinition>;
let keyframes: Connection<KeyframesServiceDefinition>;
beforeAll(async () => {
  backend = await startBackend(tinyPreset11);
  interpolation = connect(InterpolationServiceDefinition, await backend.start(interpolationStage));
  keyframes = connect(KeyframesServiceDefinition, await backend.start(keyframesStage));
});
afterAll(async () => {
  keyframes.close();
  interpolation.close();
  await backend.stop();
});

const text = {
  context: toWireTensor(tensor('float32', [3, 16], normalNoise({ seed: 1n, purpose: 99, draw: 0 }, 0, 48))),
  contextMask: toWireTensor(tensor('bool', [3], Uint8Array.of(1, 1, 0))),
};
const otherText = {
  ...text,
  context: toWireTensor(tensor('float32', [3, 16], normalNoise({ seed: 2n, purpose: 99, draw: 0 }, 0, 48))),
};
const picture = (height = 64, width = 64) => {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 7) % 256);
  return toWireTensor(tensor('uint8', [height, width, 3], pixels));
};

/** 64×64 pixels, bytes: bright rectangles on a dark background. */
function drawn(...boxes: [left: number, top: number, right: number, bottom: number][]): Uint8Array {
  return Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % 64, Math.floor(i / 3 / 64)];
    return boxes.some(([left, top, right, bottom]) => x >= left && x < right && y >= top && y < bottom) ? 240 : 20;
  });
}

async function generate(changes: Partial<GenerateKeyframesRequest> = {}, stage = keyframes) {
  const request = GenerateKeyframesRequest.fromPartial({
    ...{ prompt: text, width: 64, height: 64, seed: 5n, sampling: { steps: 2 } },
    ...changes,
  });
  const latents = new TensorAssembler({ field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 20 });
  const steps: string[] = [];
  const checkpoints: CheckpointPiece[][] = [];
  for await (const { event } of stage.client.generateKeyframes(request)) {
    if (event?.$case === 'progress') {
      steps.push(`${event.value.step}/${event.value.total}`);
    } else if (event?.$case === 'preview') {
      steps.push('preview');
    } else if (event?.$case === 'checkpoint') {
      checkpoints.push([...(event.value.header ? [] : (checkpoints.pop() ?? [])), event.value]);
    } else if (event?.$case === 'latents') {
      latents.add(event.value);
    }
  }
  const { shape, data } = latents.finish();
  return {
    steps,
    shape,
    data,
    bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
    checkpoints,
  };
}

const withFirstFrame = (given: Parameters<typeof FirstFrame.fromPartial>[0]) =>
  generate({ firstFrame: FirstFrame.fromPartial(given) });

test('a first frame is made in as many steps, then continued; it can be resumed anywhere', async () => {
  const whole = await generate({ previewStep: 1, checkpointSeconds: 1e-9 });
  expect(whole.shape).toEqual([4, 4, 8, 8]);
  expect(whole.steps).toEqual(['1/4', '2/4', '3/4', 'preview', '4/4']);
  expect(whole.checkpoints).toHaveLength(3);
  for (const [i, checkpoint] of whole.checkpoints.entries()) {
    const rest = await generate({ checkpoint });
    expect(rest.steps).toEqual(['1/4', '2/4', '3/4', '4/4'].slice(i + 1));
    expect(rest.bytes).toBe(whole.bytes);
  }
});

test('a given picture is continued, without steps of its own', async () => {
  const given = await withFirstFrame({ picture: picture() });
  expect(given.steps).toEqual(['1/2', '2/2']);
  expect(given.bytes).not.toBe((await generate()).bytes);
  expect((await withFirstFrame({ picture: picture() })).bytes).toBe(given.bytes);
});

test('motion, noise and guidance have an effect; leaving them out means the defaults', async () => {
  const { motion, noiseAugmentation, imageGuidanceScale } = {
    motion: Motion.MOTION_MEDIUM,
    noiseAugmentation: 20,
    imageGuidanceScale: 2,
  };
  const usual = await withFirstFrame({ picture: picture(), motion, noiseAugmentation, imageGuidanceScale });
  expect((await withFirstFrame({ picture: picture() })).bytes).toBe(usual.bytes);
  const others = [{ motion: Motion.MOTION_EXTREME }, { noiseAugmentation: 0 }, { imageGuidanceScale: 0 }];
  const results = await Promise.all(others.map((other) => withFirstFrame({ picture: picture(), ...other })));
  expect(new Set([usual.bytes, ...results.map(({ bytes }) => bytes)]).size).toBe(4);
});

test('without guidance there is one item, whatever the guidance by the picture', async () => {
  const sampling = { steps: 2, sampler: Sampler.SAMPLER_UNSPECIFIED, guidanceScale: 0 };
  const firstFrame = (imageGuidanceScale: number) => FirstFrame.fromPartial({ picture: picture(), imageGuidanceScale });
  const unguided = await generate({ sampling, firstFrame: firstFrame(2) });
  expect((await generate({ sampling, firstFrame: firstFrame(3) })).bytes).toBe(unguided.bytes);
});

test.each([
  ['a picture of another size', { picture: picture(64, 32) }, /`first_frame\.picture` must be \[64, 64, 3\]/],
  [
    'too much noise',
    { noiseAugmentation: 1000 },
    /`first_frame\.noise_augmentation` must be a whole number from 0 to 999/,
  ],
])('%s is refused', async (_, given, message) => {
  await expect(withFirstFrame(given)).rejects.toThrow(message);
});

describe('given keyframes', () => {
  const pixels = (shape: number[]) =>
    tensor(
      'uint8',
      shape,
      Uint8Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i * i) % 251),
    );

  test('are encoded one by one', async () => {
    expect(await keyframes.client.describeEncoder({})).toEqual({ model: 'picture_encoder', ready: true });
    const given = pixels([3, 64, 64, 3]);
    const { latents, steps } = await encodeKeyframes(keyframes.client, given);
    expect([latents.shape, steps]).toEqual([
      [3, 4, 8, 8],
      ['1/3', '2/3', '3/3'],
    ]);
    const last = tensor('uint8', [2, 64, 64, 3], given.data.slice(64 * 64 * 3));
    const again = await encodeKeyframes(keyframes.client, last);
    expect(again.latents.data).toEqual(latents.data.slice(4 * 8 * 8));
  });

  test.each([
    ['one alone', [1, 64, 64, 3], /`pictures` must be \[pictures, height, width, 3\] with 2 to 4 pictures/],
    [
      'more than the preset has',
      [5, 64, 64, 3],
      /`pictures` must be uint8 of rank 4 with at most|with 2 to 4 pictures/,
    ],
    ['other colours', [2, 64, 64, 1], /with 2 to 4 pictures/],
    ['a size between latents', [2, 60, 64, 3], /`pictures` must be multiples of 8 \(got 64x60 pixels\)/],
  ])('%s are refused', async (_, shape, message) => {
    await expect(encodeKeyframes(keyframes.client, pixels(shape))).rejects.toThrow(message);
  });
});

describe('a network that reads no first frame', () => {
  const scope = new Scope();
  let inpainted: typeof keyframes;
  let plain: typeof keyframes;
  beforeAll(async () => {
    const preset = loadPreset(tinyPreset);
    const things = { most: 2, between: ' and ', background: 'on .*', scale: 0.5 };
    const tiny = await startBackend({ ...preset, firstFrame: { kind: 'inpainted' }, things });
    scope.defer(() => tiny.stop());
    const start = async (served: Preset) => {
      const connection = connect(KeyframesServiceDefinition, await tiny.start(keyframesStage, served));
      scope.defer(() => connection.close());
      return connection;
    };
    inpainted = await start(tiny.preset);
    plain = await start(preset);
  });
  afterAll(() => scope.close());

  const continued = (changes: Partial<GenerateKeyframesRequest> = {}) =>
    generate({ firstFrame: FirstFrame.fromPartial({ picture: picture() }), ...changes }, inpainted);
  const frameOf = ({ data }: { data: Float32Array }, index: number) => data.subarray(256 * index, 256 * (index + 1));

  test('begins with the given picture; the seed decides the rest, and any step can be resumed', async () => {
    const sampling = { steps: 3, sampler: Sampler.SAMPLER_UNSPECIFIED };
    const whole = await continued({ sampling, previewStep: 1, checkpointSeconds: 1e-9 });
    expect(whole.steps).toEqual(['1/3', 'preview', '2/3', '3/3']);
    expect(whole.checkpoints).toHaveLength(2);
    for (const checkpoint of whole.checkpoints) {
      expect((await continued({ sampling, checkpoint })).bytes).toBe(whole.bytes);
    }
    const other = await continued({ sampling, seed: 6n });
    expect(frameOf(other, 0)).toEqual(frameOf(whole, 0));
    expect(frameOf(other, 1)).not.toEqual(frameOf(whole, 1));
    const text = await generate({ sampling }, inpainted);
    expect(frameOf(text, 1)).not.toEqual(frameOf(whole, 1));
  });

  test('without a picture makes what it makes elsewhere', async () => {
    const { bytes } = await generate({}, plain);
    expect((await generate({}, inpainted)).bytes).toBe(bytes);
    expect((await generate({ firstFrame: FirstFrame.create() }, inpainted)).bytes).toBe(bytes);
  });

  test('has no options for it, and refuses a picture of another size', async () => {
    const motion = FirstFrame.fromPartial({ motion: Motion.MOTION_HIGH });
    await expect(generate({ firstFrame: motion }, inpainted)).rejects.toThrow(
      '`first_frame.motion` must be absent: tiny does not have this option (got "high")',
    );
    const small = FirstFrame.fromPartial({ picture: picture(64, 32) });
    await expect(continued({ firstFrame: small })).rejects.toThrow('`first_frame.picture` must be [64, 64, 3]');
  });

  test('samples things one by one, whatever the prompt; any step can be resumed', async () => {
    const sampling = { steps: 3, sampler: Sampler.SAMPLER_UNIPC };
    const together = (changes: Partial<GenerateKeyframesRequest> = {}) =>
      generate({ sampling, things: [text, otherText], ...changes }, inpainted);
    const whole = await together({ previewStep: 1, checkpointSeconds: 1e-9 });
    expect(whole.steps).toEqual(['1/3', 'preview', '2/3', '3/3']);
    expect(whole.shape).toEqual([5, 4, 8, 8]);
    expect(whole.checkpoints).toHaveLength(2);
    for (const checkpoint of whole.checkpoints) {
      expect((await together({ checkpoint })).bytes).toBe(whole.bytes);
    }
    expect((await together({ prompt: otherText })).bytes).toBe(whole.bytes);
    expect((await together({ things: [otherText, text] })).bytes).not.toBe(whole.bytes);
  });

  test('takes a picture of things apart, and samples the prompt if it cannot', async () => {
    const sampling = { steps: 3, sampler: Sampler.SAMPLER_UNIPC };
    const of = (pixels: Uint8Array, changes: Partial<GenerateKeyframesRequest> = {}) =>
      continued({
        sampling,
        firstFrame: FirstFrame.fromPartial({ picture: toWireTensor(tensor('uint8', [64, 64, 3], pixels)) }),
        ...changes,
      });
    const things = [text, otherText];
    const twoThings = drawn([8, 8, 24, 24], [40, 40, 56, 56]);
    const whole = await of(twoThings, { things, previewStep: 1, checkpointSeconds: 1e-9 });
    expect([whole.steps, whole.shape]).toEqual([
      ['1/3', 'preview', '2/3', '3/3'],
      [5, 4, 8, 8],
    ]);
    for (const checkpoint of whole.checkpoints) {
      expect((await of(twoThings, { things, checkpoint })).bytes).toBe(whole.bytes);
    }
    expect((await of(twoThings, { things, prompt: otherText })).bytes).toBe(whole.bytes);
    const atOnce = await of(twoThings);
    expect(frameOf(whole, 0)).toEqual(frameOf(atOnce, 0));
    expect(frameOf(whole, 1)).not.toEqual(frameOf(atOnce, 1));
    const oneThing = drawn([8, 8, 24, 24]);
    expect((await of(oneThing, { things })).bytes).toBe((await of(oneThing)).bytes);
  });

  test('refuses things that it cannot sample', async () => {
    const withThings = (things: (typeof text)[], changes = {}, stage = inpainted) =>
      generate({ things, ...changes }, stage);
    await expect(withThings([text])).rejects.toThrow('`things` must be 2 to 2 (got 1)');
    await expect(withThings([text, text], {}, plain)).rejects.toThrow('`things` must be absent for tiny');
    const long = {
      context: toWireTensor(tensor('float32', [4, 16], new Float32Array(64))),
      contextMask: toWireTensor(tensor('bool', [4], new Uint8Array(4))),
    };
    await expect(withThings([text, long])).rejects.toThrow(
      '`things[1].context` must be 3 tokens, as many as the prompt',
    );
  });
});

describe('the interpolation reads the prompt', () => {
  async function interpolate(parameters: Parameters<typeof InterpolateParameters.fromPartial>[0]) {
    const frames = tensor('float32', [3, 4, 8, 8], normalNoise({ seed: 2n, purpose: 99, draw: 0 }, 0, 768));
    const latents = new TensorAssembler({ field: 'latents', dataType: 'float32', rank: 4, maxBytes: 1 << 20 });
    async function* requests() {
      const value = InterpolateParameters.fromPartial({ pass: 0, seed: 5n, ...parameters });
      yield { part: { $case: 'parameters' as const, value } };
      for (const chunk of toChunks(frames)) {
        yield { part: { $case: 'latents' as const, value: chunk } };
      }
    }
    for await (const { event } of interpolation.client.interpolate(requests())) {
      if (event?.$case === 'latents') {
        latents.add(event.value);
      }
    }
    return latents.finish();
  }

  test('which changes the frames', async () => {
    const given = await interpolate({ prompt: text });
    expect(given.shape).toEqual([9, 4, 8, 8]);
    const masked = { ...text, contextMask: toWireTensor(tensor('bool', [3], Uint8Array.of(1, 0, 0))) };
    expect((await interpolate({ prompt: masked })).data).not.toEqual(given.data);
  });

  test('and requires it', async () => {
    await expect(interpolate({})).rejects.toThrow('`parameters.prompt.context`');
  });
});
