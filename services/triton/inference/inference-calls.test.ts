import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { Datatype } from '../tensors/datatypes.ts';
import {
  encodeTensor,
  floatTensor,
  type TritonTensor,
  textTensor,
  toFloat32,
  toTexts,
  tritonTensor,
} from '../tensors/triton-tensor.ts';
import { startRecordedModels, type TestTriton } from '../testing.ts';
import { readClasses } from './classes.ts';
import type { InferenceRequest } from './inference-request.ts';

let triton: TestTriton;
beforeAll(async () => {
  triton = await startRecordedModels({ allowSharedMemory: true });
});
afterAll(() => triton.stop());

const run = (request: InferenceRequest) => triton.client.inference.run(request);

/** Two values of each type, from the ends of its range where it has ends. */
const everyType: Record<string, TritonTensor> = {
  I8: tritonTensor('INT8', [2], Int8Array.of(-128, 127)),
  I16: tritonTensor('INT16', [2], Int16Array.of(-32768, 32767)),
  I32: tritonTensor('INT32', [2], Int32Array.of(-(2 ** 31), 2 ** 31 - 1)),
  U8: tritonTensor('UINT8', [2], Uint8Array.of(0, 255)),
  U16: tritonTensor('UINT16', [2], Uint16Array.of(0, 65535)),
  U32: tritonTensor('UINT32', [2], Uint32Array.of(0, 2 ** 32 - 1)),
  U64: tritonTensor('UINT64', [2], BigUint64Array.of(0n, 2n ** 64n - 1n)),
  F64: tritonTensor('FP64', [2], Float64Array.of(Number.MIN_VALUE, -Number.MAX_VALUE)),
};

describe.each(['raw', 'typed'] as const)('%s contents', (contents) => {
  test('of eight types go and come back', async () => {
    const inputs = Object.fromEntries(Object.entries(everyType).map(([name, value]) => [`${name}_IN`, value]));
    const { outputs } = await run({ model: 'types', inputs, contents });
    const expected = Object.fromEntries(Object.entries(everyType).map(([name, value]) => [`${name}_OUT`, value]));
    expect(outputs).toEqual(expected);
  });

  test('of BYTES go and come back', async () => {
    const texts = ['', 'ein', 'Überraschung', '🎞'];
    const { outputs } = await run({ model: 'str_identity', inputs: { S: textTensor([4], texts) }, contents });
    expect(toTexts(outputs.T!)).toEqual(texts);
  });

  test('of INT64, BOOL and FP32 go and come back', async () => {
    const integers = tritonTensor('INT64', [1, 3], BigInt64Array.of(-1n, 2n ** 53n, 0n));
    expect((await run({ model: 'int64_double', inputs: { X: integers }, contents })).outputs.Y!.data).toEqual(
      BigInt64Array.of(-2n, 2n ** 54n, 0n),
    );
    const flags = tritonTensor('BOOL', [1, 2, 2], Uint8Array.of(1, 0, 0, 1));
    expect((await run({ model: 'bool_not', inputs: { X: flags }, contents })).outputs.Y!.data).toEqual(
      Uint8Array.of(0, 1, 1, 0),
    );
    const numbers = tritonTensor('FP32', [1, 4], Float32Array.of(1, 2, 3, 4));
    const { outputs } = await run({ model: 'addsub', inputs: { INPUT0: numbers, INPUT1: numbers }, contents });
    expect(outputs.OUTPUT0).toEqual(tritonTensor('FP32', [1, 4], Float32Array.of(2, 4, 6, 8)));
  });
});

test('FP16 and BF16 go as numbers and come back as numbers', async () => {
  const halves = floatTensor('FP16', [3], Float32Array.of(1.5, -2, 2 ** -14));
  const sums = (await run({ model: 'fp16_add1', inputs: { X: halves } })).outputs.Y!;
  expect([...toFloat32(sums)]).toEqual([2.5, -1, 1]);
  const brains = floatTensor('BF16', [2], Float32Array.of(3.140625, -1e38));
  const same = (await run({ model: 'bf16_identity', inputs: { X: brains } })).outputs.Y!;
  expect(toFloat32(same)).toEqual(toFloat32(brains));
});

test.each<Datatype>(['FP16', 'BF16'])('%s has no typed contents', async (datatype) => {
  const X = tritonTensor(datatype as 'FP16', [1], Uint16Array.of(0));
  await expect(run({ model: 'fp16_add1', inputs: { X }, contents: 'typed' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    field: 'inputs.X',
  });
});

const four = (...values: number[]) => tritonTensor('FP32', [1, 4], Float32Array.from(values));
const addsub = { model: 'addsub', inputs: { INPUT0: four(1, 2, 3, 4), INPUT1: four(1, 1, 1, 1) } };

test('only the outputs asked for come', async () => {
  const { outputs } = await run({ ...addsub, outputs: { OUTPUT1: {} } });
  expect(outputs).toEqual({ OUTPUT1: four(0, 1, 2, 3) });
});

test('the answer names its model, version and request', async () => {
  const answer = await run({ ...addsub, id: 'seven', version: '1' });
  expect(answer).toMatchObject({ model: 'addsub', version: '1', id: 'seven', parameters: {}, placed: {} });
});

test('classes come with scores and labels, best first', async () => {
  const X = tritonTensor('FP32', [2, 4], Float32Array.of(0.1, 0.7, 0.2, 0, 9, 1, 2, 3));
  const { outputs } = await run({ model: 'classify', inputs: { X }, outputs: { SCORES: { classes: 2 } } });
  const items = readClasses(outputs.SCORES!);
  expect(items.map((classes) => classes.map(({ index }) => index))).toEqual([
    [1, 2],
    [0, 3],
  ]);
  expect(items[0]![0]).toMatchObject({ score: 0.7, label: expect.any(String) });
});

test('priority, queue timeout, sequence and parameters of its own are accepted', async () => {
  const request: InferenceRequest = {
    ...addsub,
    priority: 1,
    queueTimeoutMicroseconds: 10_000_000,
    sequence: { id: 'a sequence', start: true, end: true },
    parameters: { text: 'x', flag: true, count: 3n, share: 0.5 },
  };
  expect((await run(request)).outputs.OUTPUT0).toEqual(four(2, 3, 4, 5));
});

test("an ensemble's answer says its sequence", async () => {
  const { client } = triton;
  const { inputs } = await client.models.metadata('ens');
  const given = inputs.map(({ name, shape }) => {
    const whole = shape.map((dimension) => Math.abs(Number(dimension)));
    const count = whole.reduce((product, dimension) => product * dimension, 1);
    return [name, tritonTensor('FP32', whole, new Float32Array(count))];
  });
  const { parameters } = await run({
    model: 'ens',
    inputs: Object.fromEntries(given),
    sequence: { id: 5n, end: true },
  });
  expect(parameters).toEqual({ sequence_id: 5n, sequence_start: false, sequence_end: true });
});

test.each<[string, Partial<InferenceRequest>, string]>([
  ['a priority below 0', { priority: -1 }, 'priority'],
  ['half a microsecond', { queueTimeoutMicroseconds: 0.5 }, 'queueTimeoutMicroseconds'],
  ['a parameter that is a field', { parameters: { sequence_id: 'x' } }, 'parameters.sequence_id'],
])('%s is refused before it is sent', async (_, changes, field) => {
  await expect(run({ ...addsub, ...changes })).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field });
});

test("the error has the server's code and text, and says where it comes from", async () => {
  const error = await run({ ...addsub, model: 'nope' }).catch((thrown) => thrown);
  expect(error.code).toBe(Status.NOT_FOUND);
  expect(error.message).toBe(`model nope on ${triton.address}: ${error.cause.message}`);
  expect(error.cause.message).toBe("Request for unknown model: 'nope' is not found");
});

test('an aborted call is an AbortError', async () => {
  const { client } = triton;
  const signal = AbortSignal.abort();
  await expect(client.inference.run(addsub, { signal })).rejects.toMatchObject({ name: 'AbortError' });
});

test('a call that takes too long ends with its own deadline', async () => {
  const call = triton.client.inference.run(addsub, { timeoutSeconds: 0 });
  await expect(call).rejects.toMatchObject({ code: Status.DEADLINE_EXCEEDED });
});

test('data that do not fill their shape are rejected', () => {
  expect(() => tritonTensor('FP32', [2, 2], new Float32Array(3))).toThrow(
    expect.objectContaining({ code: Status.INVALID_ARGUMENT }),
  );
  expect(encodeTensor(tritonTensor('UINT16', [2], Uint16Array.of(1, 2)))).toEqual(Uint8Array.of(1, 0, 2, 0));
});
