import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { ModelConfig, ModelInstanceGroup_Kind } from '../../../proto/gen/model_config.ts';
import { onnxModel, type TestNode } from '../../inference/testing.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { tensor } from '../../pipeline/tensor.ts';
import type { ExpectedModel } from '../expected-model.ts';
import { startModels } from '../testing.ts';
import { DenoisingSteps } from './denoising-steps.ts';

const scope = scopeOfEachTest();
const size = 160;

const square = { dataType: 'float32', shape: [-1, size, size] } as const;
const model: ExpectedModel = { name: 'network', largestBatch: 2, inputs: { X: square }, outputs: { Y: square } };

/** Y = X·X·…·X, which takes long enough for others to arrive. */
function slowNetwork(): Uint8Array {
  const products = 40;
  const nodes = Array.from({ length: products }, (_, index): TestNode => {
    return ['MatMul', [index === 0 ? 'X' : `P${index}`, 'X'], [index === products - 1 ? 'Y' : `P${index + 1}`]];
  });
  return onnxModel(nodes, { X: [-1, size, size] }, { Y: [-1, size, size] });
}

/** Steps of videos on a model with this configuration besides name, inputs and outputs. */
async function setUp(config: Parameters<typeof ModelConfig.fromPartial>[0]) {
  const tensors = (kind: string, name: string) =>
    `${kind} { name: "${name}" data_type: TYPE_FP32 dims: [ ${size}, ${size} ] }`;
  const triton = scope.add(
    await startModels({
      'network/config.pbtxt': `backend: "onnxruntime" max_batch_size: 8 ${tensors('input', 'X')} ${tensors('output', 'Y')}`,
      'network/1/model.onnx': slowNetwork(),
    }),
  );
  const steps = new DenoisingSteps(triton.client);
  steps.meetOn(ModelConfig.fromPartial({ name: 'network', maxBatchSize: 8, ...config }));
  /** The product of a diagonal of `value`, for as many items. */
  const infer = async (value: number, items = 1, signal = new AbortController().signal) => {
    const data = new Float32Array(items * size * size);
    for (let item = 0; item < items; item++) {
      for (let row = 0; row < size; row++) {
        data[(item * size + row) * size + row] = value;
      }
    }
    const { Y } = await steps.infer(model, { X: tensor('float32', [items, size, size], data) }, { signal });
    return { shape: Y!.shape, values: new Set(Y!.data as Float32Array) };
  };
  const batches = async () => {
    const [statistics] = await triton.client.models.statistics('network');
    return Object.fromEntries(
      statistics!.batchStats.map(({ batchSize, computeInfer }) => [Number(batchSize), Number(computeInfer!.count)]),
    );
  };
  return { steps, infer, batches };
}

const oneDevice = { instanceGroup: [{ kind: ModelInstanceGroup_Kind.KIND_GPU, count: 1 }] };

test('steps that meet go in one request, and each gets its own share', async () => {
  const { infer, batches } = await setUp(oneDevice);
  await infer(1);
  const results = await Promise.all([infer(1), infer(-1, 2), infer(0)]);
  expect(results).toEqual([
    { shape: [1, size, size], values: new Set([1, 0]) },
    { shape: [2, size, size], values: new Set([-1, 0]) },
    { shape: [1, size, size], values: new Set([0]) },
  ]);
  expect(await batches()).toEqual({ 1: 2, 3: 1 });
});

test('a cancelled step ends at once, waiting or sent, and the others do not notice', async () => {
  const { infer, batches } = await setUp(oneDevice);
  await infer(1);
  const [waiting, sent] = [new AbortController(), new AbortController()];
  const first = infer(1);
  const cancelled = [infer(1, 1, waiting.signal), infer(1, 1, sent.signal)];
  const last = infer(1, 2);
  waiting.abort();
  await expect(cancelled[0]).rejects.toThrow('aborted');
  await first;
  // Its share of the request is on its way.
  await batches();
  sent.abort();
  await expect(cancelled[1]).rejects.toThrow('aborted');
  expect((await last).shape).toEqual([2, size, size]);
});

test('an error reaches all steps of a request', async () => {
  const { infer, steps } = await setUp(oneDevice);
  await infer(1);
  const first = infer(1);
  const { signal } = new AbortController();
  const wrong = () => steps.infer(model, { X: tensor('float32', [1, size, 1], new Float32Array(size)) }, { signal });
  const results = await Promise.allSettled([wrong(), wrong()]);
  await first;
  expect(results).toEqual(
    Array(2).fill({ status: 'rejected', reason: expect.objectContaining({ code: Status.FAILED_PRECONDITION }) }),
  );
});

test.each([
  ['on a processor', { instanceGroup: [{ kind: ModelInstanceGroup_Kind.KIND_CPU, count: 1 }] }],
  ['with several instances', { instanceGroup: [{ kind: ModelInstanceGroup_Kind.KIND_GPU, count: 2 }] }],
  ['on several GPUs', { instanceGroup: [{ kind: ModelInstanceGroup_Kind.KIND_GPU, count: 1, gpus: [0, 1] }] }],
  ['without batches', { ...oneDevice, maxBatchSize: 0 }],
])('%s, each step goes alone', async (_, config) => {
  const { infer, batches } = await setUp(config);
  await infer(1);
  await Promise.all([infer(1), infer(1), infer(1)]);
  expect(await batches()).toEqual({ 1: 4 });
});
