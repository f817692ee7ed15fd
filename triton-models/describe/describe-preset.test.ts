import { describe, expect, test } from '@jest/globals';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { withDecoder } from '../../services/pipeline/testing.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { Graph } from '../graphs/graph.ts';
import { convolution, doublingConvolution, linear } from '../graphs/layers.ts';
import type { Layer } from '../graphs/value.ts';
import { activationPeak } from './activation-peak.ts';
import { describePreset, describeVideo } from './describe-preset.ts';
import { inferShapes } from './infer-shapes.ts';
import { productOperations } from './products.ts';

function analyse(shape: readonly number[], layer: Layer) {
  const g = new Graph('test', new ParameterList());
  g.output('out', layer(g.input('x', tensorSpec('float32', ...shape))));
  const graph = ModelProto.decode(g.encode()).graph!;
  const facts = inferShapes(graph, { x: shape });
  return {
    flops: productOperations(graph, facts),
    peak: activationPeak(graph, facts, 'float32'),
    halfPeak: activationPeak(graph, facts, 'float16'),
  };
}

describe('operations counted by hand', () => {
  test('a convolution: for each of 2·5·4·4 numbers out, 3·3·3 products', () => {
    const layer = convolution('conv', { to: 5, kernel: 3, stride: 2, padding: 1 });
    expect(analyse([2, 3, 8, 8], layer).flops).toBe(2 * (2 * 5 * 4 * 4) * 27);
  });

  test('a transposed convolution: each of 2·3·8·8 numbers in goes to 3 channels of 2·2 positions', () => {
    const { flops } = analyse([2, 3, 8, 8], doublingConvolution('up'));
    expect(flops).toBe(2 * (2 * 3 * 8 * 8) * 3 * 4);
  });

  test('a linear layer: 7·6 numbers out of 5 products, and nothing for the bias', () => {
    expect(analyse([7, 5], linear('l', 6, { bias: true })).flops).toBe(2 * 7 * 6 * 5);
  });

  test('a batch of matrix products', () => {
    expect(analyse([2, 3, 4, 5], (x) => x.matmul(x.reshape(2, 3, 5, 4))).flops).toBe(2 * (2 * 3 * 4 * 4) * 5);
  });
});

describe('the peak of activations, by hand', () => {
  const bytes = 4 * 10;

  test('a chain holds two tensors at a time, also through views', () => {
    const { peak, halfPeak } = analyse([10], (x) => x.node('Cos').node('Sin').reshape(5, 2).node('Sigmoid'));
    expect(peak).toBe(2 * bytes);
    expect(halfPeak).toBe(bytes);
  });

  test('tensors needed later stay alive', () => {
    expect(analyse([10], (x) => x.plus(x.node('Cos').node('Sin'))).peak).toBe(3 * bytes);
  });

  test('parameters are not counted', () => {
    const { peak } = analyse([1, 10], linear('l', 1000, { bias: false }));
    expect(peak).toBe(bytes + 4000);
  });
});

describe('Kandinsky Video 1.0', () => {
  const { networks, videos } = describePreset(loadPreset('kandinsky-video-1.0'));

  test('has the published parameters', () => {
    expect(networks.map(({ parameters }) => parameters)).toEqual([
      8_738_583_040, 4_143_743_108, 3_872_576_142, 161_118_231,
    ]);
    expect(networks[1]!.bytes).toEqual({ float32: 4 * 4_143_743_108, float16: 2 * 4_143_743_108 });
  });

  test("the text encoder's operations are those of its matrices over 128 tokens, and of its attention", () => {
    const [model, inner, wide, layers, tokens] = [4096, 16 * 256, 16384, 32, 128];
    const perToken = layers * (4 * model * inner + 3 * model * wide) + model * 4096;
    const scores = layers * 2 * 16 * tokens * tokens * 256;
    expect(videos[0]!.calls[0]!.flops).toBe(2 * (tokens * perToken + scores));
  });

  test('is described at its default and largest size and at every frame rate', () => {
    expect(videos.map(({ width, height, frames }) => [width, height, frames])).toEqual([
      [512, 512, 15],
      [512, 512, 57],
      [512, 512, 225],
      [1024, 1024, 15],
      [1024, 1024, 57],
      [1024, 1024, 225],
    ]);
  });

  test('each call and the default video have the operations of the published sizes', () => {
    const { calls, flops } = videos[1]!;
    expect(calls.map((call) => [call.network, call.inputs.latents, (call.flops / 1e12).toPrecision(4)])).toEqual([
      ['text_encoder', undefined, '2.212'],
      ['keyframe_unet', [2, 15, 4, 64, 64], '29.19'],
      ['interpolation_unet', [2, 14, 20, 64, 64], '31.78'],
      ['movq_decoder', [1, 4, 64, 64], '7.706'],
    ]);
    expect((flops / 1e15).toPrecision(4)).toBe('1.661');
  });

  test('a video is the sum of its calls', () => {
    const high = videos[2];
    expect(high!.calls.map(({ network, times }) => [network, times])).toEqual([
      ['text_encoder', 1],
      ['keyframe_unet', 20],
      ['interpolation_unet', 20],
      ['interpolation_unet', 20],
      ['movq_decoder', 225],
    ]);
    const sum = high!.calls.reduce((total, { flops, times }) => total + flops * times, 0);
    expect(high!.flops).toBe(sum);
    // Four times the groups, and almost nothing that groups share.
    expect(high!.calls[3]!.flops / high!.calls[2]!.flops).toBeCloseTo(4, 2);
    expect(high!.memory.float16 - high!.activations.float16).toBe(
      networks.reduce((total, { bytes }) => total + bytes.float16, 0),
    );
  });
});

test('masked frames take more than three times the arithmetic of groups of three, at equal frames and steps', () => {
  const callsOf = (name: string) =>
    describeVideo(loadPreset(name), { width: 512, height: 512, frameRate: 'high' }).calls.filter(
      ({ network }) => network === 'interpolation_unet',
    );
  const [groups, masked] = ['kandinsky-video-1.0', 'paper-masked-frames'].map(callsOf);
  // 2·14 and 2·56 sequences, 8 in a call.
  expect(masked!.map(({ inputs, times }) => [inputs.latents![0], times])).toEqual([
    [8, 60],
    [4, 20],
    [8, 280],
  ]);
  const sum = (calls: typeof groups) => calls!.reduce((total, { flops, times }) => total + flops * times, 0);
  const ratio = sum(masked) / sum(groups);
  expect(ratio).toBeGreaterThan(4.5);
  expect(ratio).toBeLessThan(5.5);
});

test('a temporal decoder is described in its windows', () => {
  const nano = loadPreset('nano');
  const network = { temporal: true };
  const { videos } = describePreset(withDecoder(nano, { kind: 'video', network, framesPerRequest: 10 }));
  const decoder = videos[1]!.calls.filter((call) => call.network === 'movq_decoder');
  expect(decoder.map(({ inputs, times }) => [inputs.latents, times])).toEqual([
    [[2, 5, 4, 16, 16], 5],
    [[1, 5, 4, 16, 16], 1],
    [[1, 2, 4, 16, 16], 1],
  ]);
});
