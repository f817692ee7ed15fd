import { describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { parseMovqConfig } from '../../services/pipeline/networks/movq.ts';
import { parseT5Config } from '../../services/pipeline/networks/t5-encoder.ts';
import { parseUNetConfig } from '../../services/pipeline/networks/unet.ts';
import {
  parseInterpolationUNet11Config,
  parseKeyframeUNet11Config,
} from '../../services/pipeline/networks/unet-1.1.ts';
import { type Tensor, type TensorArrays, tensor } from '../../services/pipeline/tensor.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { largestDifference } from '../verify/difference.ts';
import type { Graph } from './graph.ts';
import { interpolationUNet, interpolationUNetByFrame } from './interpolation-unet.ts';
import { interpolationUNet11 } from './interpolation-unet-1.1.ts';
import { keyframeUNet, keyframeUNetByFrame } from './keyframe-unet.ts';
import { keyframeUNet11 } from './keyframe-unet-1.1.ts';
import { movqImageDecoder } from './movq-decoder.ts';
import { t5Encoder } from './t5-encoder.ts';
import { constructorOf, noise, randomWeights, run } from './testing.ts';

type Feeds = Record<string, Tensor>;

const folder = temporaryFolder(scopeOfAllTests());

const floats = (shape: number[], values: number[]) => tensor('float32', shape, Float32Array.from(values));
const integers = (shape: number[], values: number[]) => tensor('int64', shape, BigInt64Array.from(values, BigInt));
const booleans = (shape: number[], values: number[]) => tensor('bool', shape, Uint8Array.from(values));

/** Items, each with a batch axis of 1, as one batch. */
function batchOf(items: readonly Feeds[]): Feeds {
  return Object.fromEntries(
    Object.entries(items[0]!).map(([name, first]) => {
      const parts = items.map((item) => item[name]!.data as Float32Array);
      const Type = parts[0]!.constructor as typeof Float32Array;
      const data = new Type(parts.reduce((sum, part) => sum + part.length, 0));
      for (let i = 0, offset = 0; i < parts.length; offset += parts[i]!.length, i++) {
        data.set(parts[i]!, offset);
      }
      return [name, { ...first, shape: [items.length, ...first.shape.slice(1)], data } as Tensor];
    }),
  );
}

const bytesOf = ({ data }: Tensor) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');

describe('conditioning per video equals conditioning per frame', () => {
  test('keyframes, one video with text and one without', async () => {
    const config = parseUNetConfig('constructor', await constructorOf('keyframe-unet-a'));
    const [frames, tokens, dim] = [5, 5, config.context_dim];
    const weights = await randomWeights(folder, (g) => keyframeUNet(g, config));
    const latents = noise([2, frames, 4, 8, 16], 1);
    const context = noise([2, tokens, dim], 2);
    const positions = [0, 36, 72, 108, 144, 0, 36, 72, 108, 144];
    const served = await run(
      (g) => keyframeUNet(g, config),
      weights,
      (session) =>
        session.run({
          latents,
          timestep: floats([2, 1], [980, 420]),
          positions: floats([2, frames], positions),
          context,
          context_mask: booleans([2, tokens], [1, 1, 1, 0, 0, 1, 1, 0, 0, 0]),
          unconditional: booleans([2, 1], [0, 1]),
        }),
    );

    const nullEmbedding = new Float32Array(
      (await readTensorBytes(await readSafetensors(weights), 'null_embedding')).buffer,
    );
    const perFrame = new Float32Array(2 * frames * tokens * dim);
    for (let frame = 0; frame < frames; frame++) {
      perFrame.set(context.data.subarray(0, tokens * dim), frame * tokens * dim);
      perFrame.set(nullEmbedding, (frames + frame) * tokens * dim);
    }
    const repeated = (values: number[][]) => values.flatMap((value) => new Array(frames).fill(value)).flat();
    const reference = await run(
      (g) => keyframeUNetByFrame(g, config),
      weights,
      (session) =>
        session.run({
          x: tensor('float32', [2 * frames, 4, 8, 16], latents.data),
          time: integers([2 * frames], repeated([[980], [420]])),
          temporal_embed: integers([2 * frames], positions),
          context: tensor('float32', [2 * frames, tokens, dim], perFrame),
          context_mask: booleans(
            [2 * frames, tokens],
            repeated([
              [1, 1, 1, 0, 0],
              [1, 0, 0, 0, 0],
            ]),
          ),
        }),
    );
    expect(served.prediction!.shape).toEqual([2, frames, 4, 8, 16]);
    expect(largestDifference(served.prediction!, reference.output!)).toBeLessThan(1e-4);
  });

  test('interpolation, two videos', async () => {
    const given = await constructorOf('interpolation-unet-a');
    const config = parseUNetConfig('constructor', { ...given, perturbation_input: true });
    const [groups, dim] = [4, config.context_dim];
    const weights = await randomWeights(folder, (g) => interpolationUNet(g, config));
    const latents = noise([2, groups, 20, 8, 4], 1);
    const served = await run(
      (g) => interpolationUNet(g, config),
      weights,
      (session) =>
        session.run({
          latents,
          timestep: floats([2, 1], [980, 420]),
          skip: integers([2, 1], [3, 1]),
          perturbation: floats([2, 1], [0, 120]),
        }),
    );

    const nullEmbedding = new Float32Array(
      (await readTensorBytes(await readSafetensors(weights), 'null_embedding')).buffer,
    );
    const context = new Float32Array(2 * groups * 2 * dim);
    for (let row = 0; row < 2 * groups; row++) {
      context.set(nullEmbedding, row * 2 * dim);
    }
    const repeated = (values: number[]) => values.flatMap((value) => new Array<number>(groups).fill(value));
    const reference = await run(
      (g) => interpolationUNetByFrame(g, config, groups),
      weights,
      (session) =>
        session.run({
          x: tensor('float32', [2 * groups, 20, 8, 4], latents.data),
          time: integers([2 * groups], repeated([980, 420])),
          skip_frames: integers([2 * groups], repeated([3, 1])),
          perturbation: integers([2 * groups], repeated([0, 120])),
          context: tensor('float32', [2 * groups, 2, dim], context),
          context_mask: booleans([2 * groups, 2], new Array(2 * groups).fill([1, 0]).flat()),
        }),
    );
    expect(served.prediction!.shape).toEqual([2, groups, 12, 8, 4]);
    expect(largestDifference(served.prediction!, reference.output!)).toBeLessThan(1e-4);
  });
});

describe('an item has the same bits in whatever batch, on however many threads', () => {
  async function expectSameBits(build: (g: Graph) => void, item: (seed: number) => Feeds): Promise<void> {
    const weights = await randomWeights(folder, build);
    const items = [0, 1, 2].map(item);
    let alone: string[] = [];
    for (const threads of [1, 2]) {
      await run(
        build,
        weights,
        async (session) => {
          const single = async (feeds: Feeds) => bytesOf(Object.values(await session.run(feeds))[0]!);
          const now = [await single(items[0]!), await single(items[1]!), await single(items[2]!)];
          alone = alone.length === 0 ? now : alone;
          expect(now).toEqual(alone);
          for (const batch of [
            [0, 1],
            [2, 1, 0],
            [1, 1, 0, 2],
          ]) {
            const [output] = Object.values(await session.run(batchOf(batch.map((index) => items[index]!))));
            const data = output!.data as TensorArrays['float32'];
            const size = data.length / batch.length;
            const slices = batch.map((_, i) => data.slice(i * size, (i + 1) * size));
            expect(slices.map((slice) => bytesOf({ dataType: 'float32', shape: [size], data: slice }))).toEqual(
              batch.map((index) => alone[index]),
            );
          }
        },
        threads,
      );
    }
  }

  const keyframes = (frames: number, tokens: number, dim: number, size: [number, number]) => (seed: number) => ({
    latents: noise([1, frames, 4, ...size], seed),
    timestep: floats([1, 1], [37 * seed + 11]),
    positions: floats(
      [1, frames],
      Array.from({ length: frames }, (_, i) => 12 * i),
    ),
    context: noise([1, tokens, dim], seed + 5),
    context_mask: booleans(
      [1, tokens],
      Array.from({ length: tokens }, (_, i) => Number(i < 3 + seed)),
    ),
    unconditional: booleans([1, 1], [Number(seed === 1)]),
  });

  test('keyframes', async () => {
    const config = parseUNetConfig('constructor', await constructorOf('nano-keyframes'));
    const item = keyframes(config.num_frames!, 6, config.context_dim, config.spatial_position_embedding!);
    await expectSameBits((g) => keyframeUNet(g, config), item);
  });

  test.each(['conv1dattn1dlayers', 'conv1dattn3dblocks', 'conv3dattn1dblocks'])('keyframes, %s', async (name) => {
    const config = parseUNetConfig('constructor', await constructorOf(`keyframe-unet-${name}`));
    await expectSameBits((g) => keyframeUNet(g, config), keyframes(config.num_frames!, 6, config.context_dim, [4, 8]));
  });

  test('interpolation', async () => {
    const given = await constructorOf('interpolation-unet-a');
    const config = parseUNetConfig('constructor', { ...given, perturbation_input: true });
    await expectSameBits(
      (g) => interpolationUNet(g, config),
      (seed) => ({
        latents: noise([1, 5, 20, 8, 4], seed),
        timestep: floats([1, 1], [37 * seed + 11]),
        skip: integers([1, 1], [3]),
        perturbation: floats([1, 1], [60 * seed]),
      }),
    );
  });

  test("Kandinsky Video 1.1's keyframes, with text and picture, without text, with neither", async () => {
    const config = parseKeyframeUNet11Config('constructor', await constructorOf('keyframe-unet-1.1-video-a'));
    await expectSameBits(
      (g) => keyframeUNet11(g, config),
      (seed) => ({
        latents: noise([1, 3, 4, 4, 4], seed),
        timestep: floats([1, 1], [37 * seed + 11]),
        context: noise([1, 4, config.context_dim], seed + 5),
        context_mask: booleans([1, 4], [1, 1, Number(seed > 0), 0]),
        unconditional: booleans([1, 1], [Number(seed > 0)]),
        first_frame: noise([1, 4, 4, 4], seed + 7),
        has_first_frame: booleans([1, 1], [Number(seed < 2)]),
        noise_augmentation: floats([1, 1], [20 * seed]),
        motion_score: floats([1, 1], [50 * seed]),
      }),
    );
  });

  test("Kandinsky Video 1.1's interpolation, with text and without", async () => {
    const given = await constructorOf('interpolation-unet-1.1-a');
    const config = parseInterpolationUNet11Config('constructor', { ...given, perturbation_input: true });
    await expectSameBits(
      (g) => interpolationUNet11(g, config),
      (seed) => ({
        latents: noise([1, 3, 20, 4, 4], seed),
        timestep: floats([1, 1], [37 * seed + 11]),
        skip: integers([1, 1], [3]),
        perturbation: floats([1, 1], [60 * seed]),
        context: noise([1, 4, config.context_dim], seed + 5),
        context_mask: booleans([1, 4], [1, 1, Number(seed > 0), 0]),
        unconditional: booleans([1, 1], [Number(seed === 1)]),
      }),
    );
  });

  test('masked frames', async () => {
    const ofGroups = await constructorOf('interpolation-unet-a');
    const config = parseUNetConfig('constructor', {
      ...ofGroups,
      num_channels: 9,
      out_channels: 4,
      sequence_frames: 5,
    });
    await expectSameBits(
      (g) => interpolationUNet(g, config),
      (seed) => ({
        latents: noise([1, 5, 9, 8, 4], seed),
        timestep: floats([1, 1], [37 * seed + 11]),
        skip: integers([1, 1], [3]),
      }),
    );
  });

  test('text encoder', async () => {
    const architecture = await constructorOf('t5-encoder-gated-silu');
    const config = parseT5Config('constructor', { ...architecture, context_dim: 48 });
    await expectSameBits(
      (g) => t5Encoder(g, config),
      (seed) => ({
        input_ids: integers(
          [1, 12],
          Array.from({ length: 12 }, (_, i) => (7 * i + 3 * seed) % 96),
        ),
        attention_mask: booleans(
          [1, 12],
          Array.from({ length: 12 }, (_, i) => Number(i < 5 + seed)),
        ),
      }),
    );
  });

  test('decoder', async () => {
    const config = parseMovqConfig('constructor', await constructorOf('nano-movq'));
    await expectSameBits(
      (g) => movqImageDecoder(g, config),
      (seed) => ({ latents: noise([1, 4, 6, 8], seed) }),
    );
  });
});
