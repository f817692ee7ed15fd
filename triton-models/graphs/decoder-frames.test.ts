import { open } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { parseMovqConfig, parseVideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { tensorrtModel } from '../tensorrt/tensorrt-model.ts';
import { withModel } from '../verify/temporary-model.ts';
import type { Graph } from './graph.ts';
import { movqAllowsHalf } from './movq-decode-latents.ts';
import { movqDecoder, movqImageDecoder, movqVideoDecoder } from './movq-decoder.ts';
import { constructorOf, noise, randomWeights, run } from './testing.ts';

const folder = temporaryFolder(scopeOfAllTests());

test('frames are the decoded image as bytes, colours last', async () => {
  const config = parseMovqConfig('constructor', await constructorOf('nano-movq'));
  const weights = await randomWeights(folder, (g) => movqDecoder(g, config));
  const latents = noise([2, 4, 4, 6], 3);
  const { decoded } = await run(
    (g) => movqImageDecoder(g, config),
    weights,
    (session) => session.run({ latents }),
  );
  const { frames } = await run(
    (g) => movqDecoder(g, config),
    weights,
    (session) => session.run({ latents }),
  );
  expect(frames!.shape).toEqual([2, 32, 48, 3]);
  const plane = 32 * 48;
  const expected = Uint8Array.from(frames!.data as Uint8Array, (_, i) => {
    const [colour, position] = [i % 3, Math.floor(i / 3)];
    const [image, pixel] = [Math.floor(position / plane), position % plane];
    const value = (decoded!.data as Float32Array)[(image * 3 + colour) * plane + pixel]!;
    return Math.round(255 * Math.min(1, Math.max(0, (value + 1) / 2)));
  });
  const differences = expected.filter((value, i) => value !== (frames!.data as Uint8Array)[i]);
  // Halves round to even in the graph and up here.
  expect(differences.length).toBeLessThan(expected.length / 1000);
});

describe('the decoder reports which frames were finite before conversion to bytes', () => {
  const decoder = async () => parseMovqConfig('constructor', await constructorOf('nano-movq'));
  const finiteOf = ({ is_finite }: Record<string, Tensor>) => [is_finite!.shape, ...(is_finite!.data as Uint8Array)];

  /** Random weights whose parameter `name` was changed. */
  async function changedWeights(build: (g: Graph) => void, name: string, change: (values: Float32Array) => void) {
    const path = await randomWeights(folder, build);
    const file = await readSafetensors(path);
    const values = new Float32Array(new Uint8Array(await readTensorBytes(file, name)).buffer);
    change(values);
    const handle = await open(path, 'r+');
    await handle.write(new Uint8Array(values.buffer), 0, values.byteLength, file.tensors.get(name)!.offset);
    await handle.close();
    return path;
  }

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('latents of one frame that hold %s', async (bad) => {
    const config = await decoder();
    const build = (g: Graph) => movqDecoder(g, config);
    const latents = noise([3, 4, 4, 6], 3);
    latents.data[1 * 4 * 4 * 6 + 5] = bad;
    await run(build, await randomWeights(folder, build), async (session) => {
      expect(finiteOf(await session.run({ latents }))).toEqual([[3, 1], 1, 0, 1]);
    });
  });

  test.each<[string, string, (values: Float32Array) => void]>([
    ['weights of NaN', 'decoder.conv_in.weight', (values) => values.fill(Number.NaN)],
    ['one NaN in a bias', 'decoder.conv_out.bias', (values) => values.fill(Number.NaN, 1, 2)],
    ['weights that overflow', 'decoder.conv_out.weight', (values) => values.fill(3e38)],
  ])('%s', async (_, name, change) => {
    const config = await decoder();
    const build = (g: Graph) => movqDecoder(g, config);
    await run(build, await changedWeights(build, name, change), async (session) => {
      expect(finiteOf(await session.run({ latents: noise([2, 4, 4, 6], 3) }))).toEqual([[2, 1], 0, 0]);
    });
  });

  test('weights that overflow only in half precision', async () => {
    const config = await decoder();
    const build = (g: Graph) => movqDecoder(g, config);
    const path = await changedWeights(build, 'decoder.conv_in.weight', (values) => {
      values.forEach((value, i) => {
        values[i] = 1e6 * value;
      });
    });
    const latents = noise([2, 4, 4, 6], 3);
    await run(build, path, async (session) => {
      expect(finiteOf(await session.run({ latents }))).toEqual([[2, 1], 1, 1]);
    });
    const weights = new CheckpointWeights([{ file: await readSafetensors(path) }]);
    const { proto } = tensorrtModel({ name: 'decoder', build, allowsHalf: movqAllowsHalf }, weights, {
      precision: 'float16',
    });
    await withModel({ encode: () => ModelProto.encode(proto).finish() }, [path], async (session) => {
      expect(finiteOf(await session.run({ latents }))).toEqual([[2, 1], 0, 0]);
    });
  });

  test('windows: every frame by its window', async () => {
    const config = parseVideoMovqConfig('constructor', { ...(await constructorOf('nano-movq')), temporal: true });
    const build = (g: Graph) => movqVideoDecoder(g, config);
    const latents = noise([2, 3, 4, 4, 6], 3);
    latents.data[3 * 4 * 4 * 6] = Number.NaN;
    await run(build, await randomWeights(folder, build), async (session) => {
      const { is_finite } = await session.run({ latents });
      expect(is_finite!.shape).toEqual([2, 3]);
      // Frames see their neighbours within a window, and no further.
      expect([...(is_finite!.data as Uint8Array)].slice(0, 4)).toEqual([1, 1, 1, 0]);
    });
  });
});
