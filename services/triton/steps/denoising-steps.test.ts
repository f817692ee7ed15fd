import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { ModelConfig, ModelInstanceGroup_Kind } from '../../../proto/gen/model_config.ts';
import { onnxModel, type TestNode } from '../../inference/testing.ts';
import { createLogger } from '../../kit/log.ts';
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
  const steps = new DenoisingSteps(triton.client, createLogger('test', 'silent'));
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
  // A long first batch: steps wait as long for the next.
  await infer(1, 8);
  const results = await Promise.all([infer(1), infer(1), infer(-1, 2), infer(0)]);
  expect(results.slice(1)).toEqual([
    { shape: [1, size, size], values: new Set([1, 0]) },
    { shape: [2, size, size], values: new Set([-1, 0]) },
    { shape: [1, size, size], values: new Set([0]) },
  ]);
  expect(await batches()).toEqual({ 8: 1, 1: 1, 4: 1 });
});

test('a cancelled step ends at once, waiting or sent, and the others do not notice', async () => {
  const { infer, batches } = await setUp(oneDevice);
  await infer(1, 8);
  const [waiting, sent] = [new AbortController(), new AbortController()];
  const first = infer(1, 4);
  const cancelled = [infer(1, 1, waiting.signal)];
  waiting.abort();
  // Fills a batch with the next one, so that it is sent.
  cancelled.push(infer(1, 2, sent.signal));
  const last = infer(1, 6);
  sent.abort();
  for (const step of cancelled) {
    await expect(step).rejects.toThrow('aborted');
  }
  expect([await first, await last]).toMatchObject([{ shape: [4, size, size] }, { shape: [6, size, size] }]);
  expect(await batches()).toEqual({ 8: 2, 4: 1 });
});

test('if a request with several steps is refused, each is sent alone', async () => {
  const { infer, batches } = await setUp({ ...oneDevice, maxBatchSize: 12 });
  await infer(1);
  const first = infer(1);
  // Together more than the server takes.
  const results = await Promise.allSettled([infer(1, 4), infer(-1, 4), infer(1, 4)]);
  await first;
  expect(results.map((result) => result.status === 'fulfilled' && result.value.values)).toEqual([
    new Set([1, 0]),
    new Set([-1, 0]),
    new Set([1, 0]),
  ]);
  expect(await batches()).toEqual({ 1: 2, 4: 3 });
});

test('an error of a step is its own', async () => {
  const { infer, steps } = await setUp(oneDevice);
  await infer(1, 8);
  const { signal } = new AbortController();
  const wrong = () =>
    steps.infer(model, { X: tensor('float32', [4, size, 1], new Float32Array(4 * size)) }, { signal });
  const results = await Promise.allSettled([infer(1), wrong(), wrong(), infer(1)]);
  const failed = { status: 'rejected', reason: expect.objectContaining({ code: Status.FAILED_PRECONDITION }) };
  const succeeded = expect.objectContaining({ status: 'fulfilled' });
  expect(results).toEqual([succeeded, failed, failed, succeeded]);
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
