import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { parseVideoMovqConfig, type VideoMovqConfig } from '../../services/pipeline/networks/movq.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { readSafetensors, readTensorBytes } from '../checkpoints/safetensors.ts';
import { writeSafetensors } from '../checkpoints/safetensors-writer.ts';
import { largestDifference } from '../verify/difference.ts';
import { withModel } from '../verify/temporary-model.ts';
import { Graph } from './graph.ts';
import { movqVideoDecoder, movqWindowDecoder } from './movq-decoder.ts';

const folder = temporaryFolder(scopeOfAllTests());

const convolution3x1x1 = { temporal: true, temporal_kernel_size: [3, 1, 1], temporal_conv_padding: [1, 0, 0] };
const convolution3x3x3 = { temporal: true, temporal_kernel_size: [3, 3, 3], temporal_conv_padding: [1, 1, 1] };
const small = { ch: 8, ch_mult: [1, 2], groups: 4, num_res_blocks: 1, resolution: 64, attn_resolutions: [32] };

function configure(changes: object): VideoMovqConfig {
  return parseVideoMovqConfig('network', { ...loadPreset('kandinsky-video-1.0').decoder.network, ...changes });
}

function parametersOf(build: (g: Graph) => void): ParameterList {
  const list = new ParameterList();
  build(new Graph('network', list));
  return list;
}

// Table 3 of the paper.
test.each([
  ['image', {}, 161],
  ['3×1×1 convolutions', convolution3x1x1, 203],
  ['3×3×3 convolutions', convolution3x3x3, 539],
  ['3×1×1 convolutions and attention', { ...convolution3x1x1, temporal_attention_block: true }, 220],
  ['3×3×3 convolutions and attention', { ...convolution3x3x3, temporal_attention_block: true }, 556],
  ['residual blocks and attention', { temporal_blocks: true, temporal_attention_block: true }, 220],
  ['3D convolutions', { build_3D_decoder: true }, 419],
])('%s has as many parameters as the paper says, in millions', (_, changes, millions) => {
  const { count } = parametersOf((g) => movqVideoDecoder(g, configure(changes)));
  expect(Math.floor(count / 1e6)).toBe(millions);
});

async function randomWeights(config: VideoMovqConfig): Promise<string> {
  const path = join(folder, `${Math.random()}.safetensors`);
  await writeRandomWeights(path, parametersOf((g) => movqVideoDecoder(g, config)).shapes, 1);
  return path;
}

async function run(build: (g: Graph) => void, weights: string, latents: Tensor, threads?: number): Promise<Tensor> {
  const parameters = new CheckpointWeights([{ file: await readSafetensors(weights) }]);
  const graph = new Graph('network', parameters);
  build(graph);
  parameters.verify('network');
  const outputs = await withModel(graph, [weights], (session) => session.run({ latents }), { threads });
  return Object.values(outputs)[0]!;
}

function noise(shape: number[]): Tensor<'float32'> {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: count }, (_, i) => 2 * Math.sin(12.9898 * (i + 1))),
  );
}

describe('as it is served', () => {
  const config = configure({ ...small, ...convolution3x3x3, temporal_attention_block: true });
  const [windows, frames, perFrame] = [3, 4, 4 * 6 * 8];
  const latents = noise([windows, frames, 4, 6, 8]);
  const windowOf = (window: number) =>
    latents.data.subarray(window * frames * perFrame, (window + 1) * frames * perFrame);
  let weights: string;
  let served: Tensor;
  beforeAll(async () => {
    weights = await randomWeights(config);
    served = await run((g) => movqVideoDecoder(g, config), weights, latents);
  });

  test("it returns the published layout's pictures as bytes, channels last", async () => {
    expect(served.shape).toEqual([windows, frames, 12, 16, 3]);
    const bytes = served.data as Uint8Array;
    const plane = 12 * 16;
    for (let window = 0; window < windows; window++) {
      const input = tensor('float32', [frames, 4, 6, 8], windowOf(window));
      const { data } = await run((g) => movqWindowDecoder(g, config, false), weights, input);
      for (let i = 0; i < data.length; i++) {
        const [frame, colour, pixel] = [Math.floor(i / (3 * plane)), Math.floor(i / plane) % 3, i % plane];
        const value = 255 * Math.min(1, Math.max(0, ((data[i] as number) + 1) / 2));
        const byte = bytes[((window * frames + frame) * plane + pixel) * 3 + colour]!;
        expect(Math.abs(byte - value)).toBeLessThan(0.51);
      }
    }
  });

  test('a window is the same, bit for bit, alone or with others', async () => {
    const size = served.data.length / windows;
    for (let window = 0; window < windows; window++) {
      const input = tensor('float32', [1, frames, 4, 6, 8], windowOf(window));
      const alone = await run((g) => movqVideoDecoder(g, config), weights, input);
      expect(alone.data).toEqual(served.data.slice(window * size, (window + 1) * size));
    }
  });
});

test.each([
  ['3×1×1 convolutions', convolution3x1x1],
  ['3×3×3 convolutions', convolution3x3x3],
  ['residual blocks and attention', { temporal_blocks: true, temporal_attention_block: true }],
  ['3D convolutions', { build_3D_decoder: true }],
])('with %s a window has the same bits on however many threads', async (_, changes) => {
  const config = configure({ ...small, ...changes });
  const weights = await randomWeights(config);
  const decode = (threads: number) =>
    run((g) => movqWindowDecoder(g, config, false), weights, noise([5, 4, 7, 9]), threads);
  const [one, two, three] = [await decode(1), await decode(2), await decode(3)];
  expect(two.data).toEqual(one.data);
  expect(three.data).toEqual(one.data);
});

// The published code can't run this variant, so there is no reference for it. But a 3×3×3 kernel that is zero before and
// after the frame is a 3×3 kernel.
describe('3D convolutions', () => {
  const cubes = configure({ ...small, build_3D_decoder: true });
  const squares = configure({ ...small });
  const latents = noise([5, 4, 6, 8]);

  test('with kernels of one frame it is the decoder of images', async () => {
    const flat = await randomWeights(squares);
    const cubic = await asCubes(flat);
    const image = await run((g) => movqWindowDecoder(g, squares, false), flat, latents);
    const video = await run((g) => movqWindowDecoder(g, cubes, false), cubic, latents);
    expect(largestDifference(video, image)).toBeLessThan(1e-4);
  });

  test('with temporal kernels frames depend on their neighbours', async () => {
    const weights = await randomWeights(cubes);
    const video = await run((g) => movqWindowDecoder(g, cubes, false), weights, latents);
    const others = tensor('float32', latents.shape, latents.data.slice());
    others.data.fill(0, (4 * others.data.length) / 5);
    const changed = await run((g) => movqWindowDecoder(g, cubes, false), weights, others);
    const fourth = (value: Tensor) => value.data.slice((3 * value.data.length) / 5, (4 * value.data.length) / 5);
    expect(fourth(changed)).not.toEqual(fourth(video));
  });

  /** The weights with every 3×3 kernel of a residual block in the middle of a 3×3×3 one. */
  async function asCubes(path: string): Promise<string> {
    const file = await readSafetensors(path);
    const { shapes } = parametersOf((g) => movqWindowDecoder(g, cubes, false));
    const target = join(folder, `${Math.random()}.safetensors`);
    const entries = new Map([...shapes].map(([name, shape]) => [name, { dataType: 'F32', shape }] as const));
    const contents = new Map<string, Uint8Array>();
    for (const [name, shape] of shapes) {
      const bytes = await readTensorBytes(file, name);
      contents.set(name, shape.length === 5 ? inTheMiddle(bytes) : bytes);
    }
    await writeSafetensors(target, entries, (name) => contents.get(name)!);
    return target;
  }

  function inTheMiddle(kernels: Uint8Array): Uint8Array {
    const square = 9 * 4;
    const cubic = new Uint8Array(3 * kernels.length);
    for (let i = 0; i < kernels.length / square; i++) {
      cubic.set(kernels.subarray(i * square, (i + 1) * square), (3 * i + 1) * square);
    }
    return cubic;
  }
});

test('frames depend on their own window only', async () => {
  const config = configure({ ...small, ...convolution3x1x1 });
  const weights = await randomWeights(config);
  const latents = noise([2, 3, 4, 6, 8]);
  const changed = tensor('float32', latents.shape, latents.data.slice());
  changed.data.fill(0, 0, 4 * 6 * 8);
  const [before, after] = [
    await run((g) => movqVideoDecoder(g, config), weights, latents),
    await run((g) => movqVideoDecoder(g, config), weights, changed),
  ];
  const frame = ({ data }: Tensor, index: number) =>
    data.slice((index * data.length) / 6, ((index + 1) * data.length) / 6);
  expect(
    [0, 1, 2, 3, 4, 5].map((i) => Buffer.compare(frame(before, i) as Uint8Array, frame(after, i) as Uint8Array) !== 0),
  ).toEqual([true, true, true, false, false, false]);
});
