import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { FusionError } from '../kit/errors.ts';
import { expectModel } from './expect-model.ts';
import type { ExpectedModel } from './expected-model.ts';
import { startRecordedModels, type TestTriton } from './testing.ts';
import { TritonClient } from './triton-client.ts';

let triton: TestTriton;
beforeAll(async () => {
  triton = await startRecordedModels();
});
afterAll(() => triton.stop());

const four = { dataType: 'float32', shape: [-1, 4] } as const;
const addsub: ExpectedModel = {
  name: 'addsub',
  largestBatch: 8,
  inputs: { INPUT0: four, INPUT1: four },
  outputs: { OUTPUT0: four },
};
const { signal } = new AbortController();

const check = (changes: Partial<ExpectedModel>, seconds = 30) =>
  expectModel(triton.client, { ...addsub, ...changes }, seconds, signal);

test('a matching model is accepted, with unused outputs too', async () => {
  await check({});
});

test('every difference is in the table', async () => {
  const changes: Partial<ExpectedModel> = {
    largestBatch: 9,
    inputs: { INPUT0: { dataType: 'int64', shape: [-1, 4] }, INPUT9: four },
    outputs: { OUTPUT0: { dataType: 'float32', shape: [-1, 5] }, OUTPUT1: four, OUTPUT7: four },
  };
  const error: FusionError = await check(changes).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: Status.FAILED_PRECONDITION, reason: 'MODEL_MISMATCH' });
  expect(error.message).toBe(
    `model addsub on ${triton.address} does not fit the preset:
                expected      found
input INPUT0    INT64 [-1,4]  FP32 [-1,4]
input INPUT9    FP32 [-1,4]   nothing
input INPUT1    nothing       FP32 [-1,4]
output OUTPUT0  FP32 [-1,5]   FP32 [-1,4]
output OUTPUT7  FP32 [-1,4]   nothing
max batch size  at least 9    8
If an earlier release built it, run \`fusionframes models build\` again.`,
  );
});

test('a version that the server lacks is reported with those it has', async () => {
  const client = new TritonClient({ address: triton.address, modelVersion: '7' });
  const error: FusionError = await expectModel(client, addsub, 0, signal).catch((thrown) => thrown);
  await client.close();
  expect(error).toMatchObject({ code: Status.FAILED_PRECONDITION, reason: 'MODEL_UNUSABLE' });
  expect(error.message).toMatch(/version 7\b/);
  expect(error.message).toMatch(/^addsub +1 +READY$/m);
});

test.each([
  ['a model that is not there', 'nope', "Request for unknown model: 'nope' is not found"],
  ['a model that could not be loaded', 'broken_onnx', 'has no available versions'],
])('%s is reported with the available models', async (_, name, text) => {
  const error: FusionError = await check({ name }, 0).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: Status.FAILED_PRECONDITION, reason: 'MODEL_UNUSABLE' });
  expect(error.message).toContain(text);
  expect(error.message).toMatch(/^addsub +1 +READY$/m);
  expect(error.message).toMatch(/^broken_onnx +1 +UNAVAILABLE +\S/m);
});

test('a server that is not there is UNAVAILABLE', async () => {
  const client = new TritonClient({ address: '127.0.0.1:1' });
  await expect(expectModel(client, addsub, 0, signal)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  await client.close();
});

test('an abort ends the wait', async () => {
  const abort = new AbortController();
  const waiting = expectModel(triton.client, { ...addsub, name: 'nope' }, 60, abort.signal);
  setImmediate(() => abort.abort());
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});
