import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { TensorProto_DataType as ElementType, ModelProto, type NodeProto } from '../../proto/gen/onnx/onnx.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import { CheckpointWeights } from '../checkpoints/checkpoint-weights.ts';
import { ParameterList } from '../checkpoints/parameter-list.ts';
import { servedModels } from '../packaging/served-models.ts';
import { keepOfSecondAxis, largestDifference } from '../verify/difference.ts';
import { openGoldenCase } from '../verify/golden-case.ts';
import { networkChecks } from '../verify/network-checks.ts';
import { withModel } from '../verify/temporary-model.ts';
import { elementTypesOf, mainInput } from './element-types.ts';
import { tensorrtModel } from './tensorrt-model.ts';

const goldens = join(packageRoot, 'test', 'fixtures', 'goldens');

/**
 * In standard deviations of the float32 reference. Half precision has steps of 2⁻¹¹ of a number; a hundred layers with
 * residuals between them come to about 1e-2 at the one element that is farthest off.
 */
const tolerance = 3e-2;

test.each([
  'keyframe-unet-a',
  'interpolation-unet-a',
  't5-encoder-gated-silu',
  't5-encoder-gated-gelu',
  'nano-movq',
  'movq-image-decoder',
  'movq-video-blocks-and-attention',
  'movq-video-released-conv-3x3x3-attention',
  'movq-video-temporal-conv-3x1x1',
])('%s in half precision is near the float32 reference', async (name) => {
  const golden = await openGoldenCase(join(goldens, name));
  for (const check of await networkChecks(golden)) {
    const weights = new CheckpointWeights(check.parts);
    const { proto } = tensorrtModel({ name: check.network, ...check }, weights, { precision: 'float16' });
    const files = check.parts.map(({ file }) => file.path);
    const outputs = await withModel(
      { encode: () => ModelProto.encode(proto).finish() },
      files,
      async (session) => session.run(await check.feeds(new Map())),
      { isOptimized: false },
    );
    for (const { golden: reference, source, keep } of check.comparisons) {
      if ('output' in source) {
        const whole: Tensor = outputs[source.output]!;
        const actual = keep === undefined ? whole : keepOfSecondAxis(whole, keep);
        expect(actual.dataType).toBe('float32');
        const difference = largestDifference(actual, await golden.tensor(reference));
        expect(difference).toBeLessThan(tolerance);
        // Something was rounded: the kernels got float16 tensors.
        expect(difference).toBeGreaterThan(1e-4);
      }
    }
  }
});

describe('in the published networks', () => {
  const networks = servedModels(loadPreset('kandinsky-video-1.0')).map((network) => {
    const model = tensorrtModel(network, new ParameterList(), { precision: 'float16' });
    return { name: network.name, ...model, types: elementTypesOf(model.proto.graph!) };
  });

  function each(filter: (node: NodeProto) => boolean) {
    return networks.flatMap(({ name, proto, types }) =>
      proto
        .graph!.node.filter(filter)
        .map((node) => ({ name: `${name}: ${node.name}`, type: types.get(mainInput(node))! })),
    );
  }
  const namesOf = (found: { name: string }[]) => found.map(({ name }) => name);

  test('norms, softmax and sinusoids are float32', () => {
    const operators = ['InstanceNormalization', 'LayerNormalization', 'ReduceMean', 'Sqrt', 'Softmax', 'Sin', 'Cos'];
    const found = each(({ opType }) => operators.includes(opType));
    expect(found.length).toBeGreaterThan(500);
    expect(namesOf(found.filter(({ type }) => type !== ElementType.FLOAT))).toEqual([]);
  });

  test("products are float16, save those of embeddings, T5's wo and the last convolutions", () => {
    const found = each(({ opType }) => ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'].includes(opType));
    const exceptions = namesOf(found.filter(({ type }) => type !== ElementType.FLOAT16));
    const allowed =
      /_embed\/[13]\/Gemm|feature_pooling\/|\/DenseReluDense\/wo\/Gemm|\/conv_out\/Conv|out_layer\.2\/Conv/;
    expect(exceptions.filter((name) => !allowed.test(name))).toEqual([]);
    expect(exceptions.length).toBeLessThan(found.length / 20);
  });

  test('masks and residual sums of the text encoder, which exceed 65504, are float32', () => {
    const found = each(({ opType, output }) => opType === 'Where' && !output[0]!.includes('projections'));
    expect(namesOf(found.filter(({ type }) => type !== ElementType.FLOAT))).toEqual([]);
    const residuals = each(
      ({ opType, name }) => opType === 'Add' && /^encoder\.block\.\d+\/layer\.[01]\/Add/.test(name),
    );
    expect(residuals.length).toBe(64);
    expect(namesOf(residuals.filter(({ type }) => type !== ElementType.FLOAT))).toEqual([]);
  });

  test('nearly all parameters are read in half precision', () => {
    for (const { name, weightTypes } of networks.filter((network) => network.name.endsWith('unet'))) {
      const single = [...weightTypes].filter(([, type]) => type === 'F32');
      expect([name, single.length / weightTypes.size < 0.15]).toEqual([name, true]);
    }
  });
});
