import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DataType, ModelConfig, type ModelDynamicBatching } from '../../../proto/gen/model_config.ts';
import { createLogger } from '../../kit/log.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { elementTypeNamed } from '../datatypes.ts';
import { ModelInstance } from '../execution/model-instance.ts';
import type { ModelOutputs, ModelRequest } from '../model.ts';
import { Statistics } from '../statistics.ts';
import { doublingModel, folderOf, slowModel } from '../testing.ts';
import { Scheduler } from './scheduler.ts';

const log = createLogger('test', 'silent');
const fp32 = elementTypeNamed('FP32')!;
const never = new AbortController().signal;
const anHour = 3_600_000_000n;

const scope = scopeOfEachTest();

interface Setup {
  scheduler: Scheduler;
  statistics: Statistics;
  /** All instances that were started, in order. */
  instances: ModelInstance[];
  /** Removes its file. */
  removeModel(): void;
}

async function setUp(
  model: Uint8Array,
  batching: Partial<ModelDynamicBatching> | undefined,
  limits: { maxInstances?: number; maxQueueSize?: number } = {},
): Promise<Setup> {
  const { folder, remove } = folderOf({ 'model.onnx': model });
  scope.defer(remove);
  const instances: ModelInstance[] = [];
  const startInstance = async () => {
    const instance = await ModelInstance.start({ modelFile: join(folder, 'model.onnx'), intraOpThreads: 1 });
    instances.push(instance);
    return instance;
  };
  const config = ModelConfig.fromPartial({
    name: 'model',
    maxBatchSize: batching ? 8 : 0,
    input: [{ name: 'X', dataType: DataType.TYPE_FP32, dims: [-1n] }],
    output: [{ name: 'Y', dataType: DataType.TYPE_FP32, dims: [-1n] }],
    ...(batching && { schedulingChoice: { $case: 'dynamicBatching', value: batching } }),
  });
  const statistics = new Statistics();
  const scheduler = new Scheduler({
    config,
    statistics,
    log,
    first: await startInstance(),
    startInstance,
    maxInstances: limits.maxInstances ?? 1,
    maxQueueSize: limits.maxQueueSize ?? 100,
  });
  scope.add(scheduler);
  return { scheduler, statistics, instances, removeModel: remove };
}

function request(batchSize: number, values: number[]): ModelRequest {
  const rows = Math.max(1, batchSize);
  const shape = [BigInt(rows), BigInt(values.length / rows)];
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return {
    id: '',
    priority: 0n,
    timeoutMicroseconds: 0n,
    batchSize,
    inputs: new Map([['X', { type: fp32, shape, data }]]),
    outputs: ['Y'],
  };
}

/** One square matrix, for models without batching. */
function square(size: number): ModelRequest {
  const data = new Uint8Array(size * size * 4);
  const shape = [BigInt(size), BigInt(size)];
  return { ...request(0, [0]), inputs: new Map([['X', { type: fp32, shape, data }]]) };
}

function values(outputs: ModelOutputs): number[] {
  return [...new Float32Array(new Uint8Array(outputs.get('Y')!.data).buffer)];
}

function counts(statistics: Statistics): { items: bigint; runs: bigint } {
  const { inferenceCount, executionCount } = statistics.toMessage('model', 1n);
  return { items: inferenceCount, runs: executionCount };
}

test('requests of the same shape run as one batch and get their own rows back', async () => {
  const { scheduler, statistics } = await setUp(doublingModel(), {
    preferredBatchSize: [4],
    maxQueueDelayMicroseconds: anHour,
  });
  const answers = await Promise.all([
    scheduler.submit(request(1, [1, 2]), never),
    scheduler.submit(request(2, [3, 4, 5, 6]), never),
    scheduler.submit(request(1, [7, 8]), never),
  ]);
  expect(answers.map(values)).toEqual([
    [2, 4],
    [6, 8, 10, 12],
    [14, 16],
  ]);
  expect(answers.map((answer) => answer.get('Y')!.shape)).toEqual([
    [1n, 2n],
    [2n, 2n],
    [1n, 2n],
  ]);
  expect(counts(statistics)).toEqual({ items: 4n, runs: 1n });
});

test('requests of different shapes run apart', async () => {
  const { scheduler, statistics } = await setUp(doublingModel(), { preferredBatchSize: [8] });
  const answers = await Promise.all([
    scheduler.submit(request(1, [1, 2]), never),
    scheduler.submit(request(1, [1, 2, 3]), never),
  ]);
  expect(answers.map(values)).toEqual([
    [2, 4],
    [2, 4, 6],
  ]);
  expect(counts(statistics)).toEqual({ items: 2n, runs: 2n });
});

test('requests waiting for a busy instance run together next', async () => {
  const { scheduler, statistics } = await setUp(doublingModel(), { preferredBatchSize: [8] });
  const first = scheduler.submit(request(1, [1]), never);
  const others = [2, 3, 4].map((value) => scheduler.submit(request(1, [value]), never));
  expect((await Promise.all([first, ...others])).map(values)).toEqual([[2], [4], [6], [8]]);
  expect(counts(statistics)).toEqual({ items: 4n, runs: 2n });
});

test('a full queue rejects immediately', async () => {
  const { scheduler } = await setUp(
    doublingModel(),
    { preferredBatchSize: [8], maxQueueDelayMicroseconds: anHour },
    { maxQueueSize: 1 },
  );
  const waiting = scheduler.submit(request(1, [1]), never);
  expect(() => scheduler.submit(request(1, [2]), never)).toThrow(expect.objectContaining({ code: Status.UNAVAILABLE }));
  await Promise.all([scheduler.close(), waiting]);
});

test('a cancelled request leaves the queue and is not run', async () => {
  const { scheduler, statistics } = await setUp(doublingModel(), {
    preferredBatchSize: [2],
    maxQueueDelayMicroseconds: anHour,
  });
  const cancel = new AbortController();
  const cancelled = scheduler.submit(request(1, [1]), cancel.signal);
  cancel.abort();
  await expect(cancelled).rejects.toMatchObject({ name: 'AbortError' });
  const answers = await Promise.all([
    scheduler.submit(request(1, [2]), never),
    scheduler.submit(request(1, [3]), never),
  ]);
  expect(answers.map(values)).toEqual([[4], [6]]);
  expect(counts(statistics)).toEqual({ items: 2n, runs: 1n });
});

test('another instance is started when all are busy, and no more than allowed', async () => {
  const { scheduler, instances } = await setUp(slowModel(40), undefined, { maxInstances: 2 });
  const submitFour = () => Promise.all([1, 2, 3, 4].map(() => scheduler.submit(square(128), never)));
  while (instances.length < 2) {
    await submitFour();
  }
  await submitFour();
  expect(instances.length).toBe(2);
});

/** The end of a worker as a crash ends it. Only safe between two runs: the runtime's native code must not be cut off. */
function crash(instance: ModelInstance): void {
  void instance.worker.terminate();
}

test('a worker that dies fails its requests and is replaced', async () => {
  const { scheduler, instances, statistics } = await setUp(slowModel(1), undefined);
  crash(instances[0]!);
  const lost = scheduler.submit(square(2), never);
  const waiting = scheduler.submit(square(2), never);
  await expect(lost).rejects.toMatchObject({ code: Status.INTERNAL });
  expect((await waiting).get('Y')!.shape).toEqual([2n, 2n]);
  expect(instances.length).toBe(2);
  expect(counts(statistics)).toEqual({ items: 1n, runs: 1n });
});

test('a model that cannot be restarted fails the waiting requests', async () => {
  const { scheduler, instances, removeModel } = await setUp(slowModel(1), undefined);
  removeModel();
  crash(instances[0]!);
  const lost = scheduler.submit(square(2), never);
  const waiting = scheduler.submit(square(2), never);
  await expect(lost).rejects.toMatchObject({ code: Status.INTERNAL });
  await expect(waiting).rejects.toMatchObject({ code: Status.UNAVAILABLE });
});

test('a fault of the runtime is INTERNAL and the instance goes on', async () => {
  const { scheduler, instances, statistics } = await setUp(slowModel(1), undefined);
  const flat: ModelRequest = {
    ...request(0, [0]),
    inputs: new Map([['X', { type: fp32, shape: [2n, 3n], data: new Uint8Array(24) }]]),
  };
  await expect(scheduler.submit(flat, never)).rejects.toMatchObject({ code: Status.INTERNAL });
  await scheduler.submit(square(2), never);
  expect(instances.length).toBe(1);
  expect(statistics.toMessage('model', 1n).inferenceStats?.fail?.count).toBe(1n);
});
