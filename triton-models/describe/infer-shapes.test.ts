import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import type { ElementTypeName } from '../../services/pipeline/element-types.ts';
import { type Dimension, tensorSpec } from '../../services/pipeline/networks/network-interface.ts';
import { modelNames } from '../../services/pipeline/preset.ts';
import { byteSize, type DataType, type Tensor, tensorFromBytes } from '../../services/pipeline/tensor.ts';
import { smallNano, withDecoder } from '../../services/pipeline/testing.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { writeRandomWeights } from '../checkpoints/random-weights.ts';
import { readSafetensors } from '../checkpoints/safetensors.ts';
import { Graph } from '../graphs/graph.ts';
import { onnxType } from '../graphs/onnx-types.ts';
import type { Layer } from '../graphs/value.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import { servedModels } from '../packaging/served-models.ts';
import { openGoldenCase } from '../verify/golden-case.ts';
import { networkChecks } from '../verify/network-checks.ts';
import { withModel } from '../verify/temporary-model.ts';
import { inferShapes } from './infer-shapes.ts';
import { type NetworkCall, networkCalls } from './network-calls.ts';

const folder = temporaryFolder(scopeOfAllTests());

/** Compares what is inferred for every tensor that a node gives with what ONNX Runtime makes of it. */
async function expectRealShapes(graph: Graph, weights: readonly string[], feeds: Record<string, Tensor>) {
  const model = ModelProto.decode(graph.encode());
  const { node, output, valueInfo } = Object.assign(model.graph!, { valueInfo: [] });
  const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
  const facts = inferShapes(model.graph!, shapes);
  const known = output.map(({ name }) => name);
  const inner = node.flatMap((each) => each.output).filter((name) => !known.includes(name));
  // ONNX Runtime begins with the last node that nothing depends on: backwards, no tensor is kept once its shape is known.
  for (const name of inner.toReversed()) {
    // ONNX Runtime refuses a type that is not the node's. Of the values only their shape is given: they are gigabytes.
    valueInfo.push(tensorInfo(name, facts.get(name)!.type));
    node.push({ input: [name], output: [shapeOf(name)], name: shapeOf(name), opType: 'Shape', attribute: [] });
    output.push(tensorInfo(shapeOf(name), 'int64'));
  }
  const encode = () => ModelProto.encode(model).finish();
  const outputs = await withModel({ encode }, weights, (session) => session.run(feeds), { isOptimized: false });
  const real = [
    ...known.map((name) => [name, outputs[name]!.dataType, [...outputs[name]!.shape]]),
    ...inner.map((name) => [name, facts.get(name)!.type, Array.from(outputs[shapeOf(name)]!.data, Number)]),
  ];
  const inferred = [...known, ...inner].map((name) => {
    const { type, shape } = facts.get(name)!;
    return [name, type, [...shape]];
  });
  expect(inferred).toEqual(real);
}

const shapeOf = (name: string) => `shape of ${name}`;

function tensorInfo(name: string, type: ElementTypeName) {
  const value = { elemType: onnxType(type), shape: undefined };
  return { name, type: { value: { $case: 'tensorType', value } } } as const;
}

describe('every tensor inside a network has the inferred shape', () => {
  test.each([
    'keyframe-unet-a',
    'interpolation-unet-a',
    'movq-image-decoder',
    'movq-video-image-only',
    'movq-video-temporal-conv-3x1x1',
    'movq-video-conv-no-mid',
    'movq-video-flicker',
    'movq-video-blocks-and-attention',
    'movq-video-released-conv-3x3x3-attention',
    't5-encoder-gated-gelu',
    't5-encoder-gated-silu',
  ])('%s', async (name) => {
    const golden = await openGoldenCase(join(packageRoot, 'test', 'fixtures', 'goldens', name));
    for (const check of await networkChecks(golden)) {
      const graph = new Graph(check.network, new CheckpointWeights(check.parts));
      check.build(graph);
      const files = check.parts.map(({ file }) => file.path);
      const { x, ...feeds } = await check.feeds(new Map());
      await expectRealShapes(graph, files, x === undefined ? feeds : { ...feeds, x: narrowed(x) });
    }
  });

  const nano = smallNano();
  const video = (network: object) => withDecoder(nano, { kind: 'video', network });
  const convolutions = video({ temporal: true });
  const blocks = video({ temporal_blocks: true, temporal_attention_block: true });
  test.each([
    ['nano', nano, Object.values(modelNames), nano.frameSize.default],
    ['a decoder with convolutions over time', convolutions, [modelNames.decoder], { width: 96, height: 64 }],
    ['a decoder with blocks and attention over time', blocks, [modelNames.decoder], { width: 96, height: 64 }],
  ])('the calls of a video: %s', async (_, preset, names, size) => {
    const models = new Map(servedModels(preset).map((model) => [model.name, model]));
    const calls = networkCalls(preset, { ...size, frameRate: 'medium' });
    for (const call of calls.filter((each) => (names as string[]).includes(each.model))) {
      const model = models.get(call.model)!;
      const path = join(folder, `${Math.random()}.safetensors`);
      await writeRandomWeights(path, parametersOf(model).shapes, 1);
      const graph = new Graph(model.name, new CheckpointWeights([{ file: await readSafetensors(path) }]));
      model.build(graph);
      await expectRealShapes(graph, [path], feedsOf(call));
    }
  });
});

/** Half as wide, so that no rule can confuse width and height. */
function narrowed({ dataType, shape }: Tensor): Tensor {
  return zeros(dataType, [...shape.slice(0, -1), shape.at(-1)! / 2]);
}

const zeros = (type: DataType, shape: readonly number[]) =>
  tensorFromBytes(type, shape, new Uint8Array(byteSize(type, shape)));

function feedsOf({ feeds }: NetworkCall): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(feeds).map(([name, { type, shape }]) => [name, zeros(type, shape)]));
}

describe('a graph whose shapes cannot be inferred is rejected, naming the obstacle', () => {
  function graphOf(layer: Layer, size: Dimension = 'n') {
    const g = new Graph('test', new ParameterList());
    g.output('out', layer(g.input('x', tensorSpec('float32', size))));
    return ModelProto.decode(g.encode()).graph!;
  }

  test('an operator without a rule', () => {
    const graph = graphOf((x) => x.node('Sin'));
    graph.node[0]!.opType = 'Einsum';
    expect(() => inferShapes(graph, { x: [3] })).toThrow('node Sin_0 (Einsum): the operator has no shape rule');
  });

  test('shapes that do not fit together', () => {
    const graph = graphOf((x) => x.plus(x.graph.floats([1, 2])));
    expect(() => inferShapes(graph, { x: [3] })).toThrow('node Add_0 (Add): shapes [3] and [2] do not fit together');
  });

  test('a shape that depends on computed values', () => {
    const graph = graphOf((x) => x.reshape(x.cast('int64')), 1);
    expect(() => inferShapes(graph, { x: [1] })).toThrow(/node Reshape_1 \(Reshape\): .*only when the graph runs/);
  });

  test('an input without a shape', () => {
    expect(() =>
      inferShapes(
        graphOf((x) => x),
        {},
      ),
    ).toThrow('test: input x has no shape');
  });
});
