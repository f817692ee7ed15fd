import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { eventually } from '../../../test/support/cli.ts';
import { createLogger } from '../../kit/log.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { ModelInstance } from '../execution/model-instance.ts';
import { type InferenceServerOptions, startInferenceServer } from '../server.ts';
import { Statistics } from '../statistics.ts';
import { startTestInference } from '../testing/test-inference.ts';
import { doublingModel, folderOf, slowModel } from '../testing.ts';
import { configFromText } from './read-config.ts';
import { warmUp } from './warm-up.ts';

const scope = scopeOfEachTest();

const tensors = (dims: string) =>
  `backend: "onnxruntime" instance_group [ { count: 1 kind: KIND_CPU } ]
  input { name: "X" data_type: TYPE_FP32 dims: [ ${dims} ] } output { name: "Y" data_type: TYPE_FP32 dims: [ ${dims} ] }`;
const doubling = (warmup: string) => `max_batch_size: 4 ${tensors('-1')} model_warmup { name: "s" ${warmup} }`;
const input = (source: string, dims = '3', type = 'FP32', name = 'X') =>
  `inputs { key: "${name}" value { data_type: TYPE_${type} dims: [ ${dims} ] ${source} } }`;

const start = (files: Record<string, string | Uint8Array>, options: Partial<InferenceServerOptions> = {}) =>
  startTestInference(scope, files, { modelControl: 'explicit', ...options });

const model = (config: string) => ({ 'm/1/model.onnx': doublingModel(), 'm/config.pbtxt': config });

// Figures and texts are those of a real Triton server with the same repository.
test.each([
  ['batch_size: 2 count: 3', 'zero_data: true', { inferenceCount: 6n, executionCount: 3n }],
  ['batch_size: 1', 'random_data: true', { inferenceCount: 1n, executionCount: 1n }],
  ['batch_size: 1', 'input_data_file: "x"', { inferenceCount: 1n, executionCount: 1n }],
  ['batch_size: 0', '', { inferenceCount: 0n, executionCount: 0n }],
])('warm-up with %s, %s runs before the model is ready', async (size, source, figures) => {
  const { client } = await start({ ...model(doubling(`${size} ${input(source)}`)), 'm/warmup/x': new Uint8Array(16) });
  await client.repositoryModelLoad({ modelName: 'm' });
  const { modelStats } = await client.modelStatistics({ name: 'm' });
  expect(modelStats[0]).toMatchObject({ ...figures, inferenceStats: { success: { count: figures.inferenceCount } } });
});

const missing =
  "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing required " +
  "input(s) ['X']. Please provide all required input(s).";
test.each([
  ['a free dimension', input('zero_data: true', '-1'), /all variable-size dimensions are specified for input 'X'/],
  ['no data', input(''), "[request id: <id_unknown>] warmup setting expects input 'X' to have input_data_type set"],
  ['no input', '', missing],
  ['another input', input('zero_data: true', '3', 'FP32', 'Z'), missing],
  [
    'one input too many',
    input('zero_data: true') + input('zero_data: true', '3', 'FP32', 'Z'),
    "failed to run warmup sample 's': Failed to retrieve the ONNX input tensor info from 'Z'.; ",
  ],
  [
    'large inputs that the model does not have',
    input('zero_data: true') +
      ['Y', 'Z'].map((name) => input('random_data: true', '1000000, 1000000', 'FP32', name)).join(' '),
    "failed to run warmup sample 's': Failed to retrieve the ONNX input tensor info from 'Y'.; ",
  ],
  ['a folder as data', input('input_data_file: "."'), /input_data_file of input 'X' must be a file \(got the folder/],
  ['another type', input('zero_data: true', '3', 'INT32'), /data-type is 'INT32', but model 'm' expects 'FP32'/],
  ['a missing file', input('input_data_file: "y"'), /failed to open text file for read .*y: No such file/],
  [
    'a file elsewhere',
    input('input_data_file: "../config.pbtxt"'),
    /input_data_file of input 'X': '\.\.\/config\.pbtxt' must stay within the model's folder/,
  ],
  ['a short file', input('input_data_file: "x"', '5'), /expects 20 bytes, but the data provided from xonly has 16/],
])('a warm-up with %s is refused and leaves the model unready', async (_, inputs, text) => {
  const files = { ...model(doubling(`batch_size: 1 ${inputs}`)), 'm/warmup/x': new Uint8Array(16) };
  const { client } = await start(files);
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text),
  });
  expect((await client.repositoryIndex({})).models).toMatchObject([{ name: 'm', state: 'UNAVAILABLE' }]);
});

test('more items than a batch may have are rejected, once for each', async () => {
  const { client } = await start(model(doubling(`batch_size: 5 ${input('zero_data: true')}`)));
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    message: expect.stringContaining(
      `failed to run warmup sample 's': ${"batch size 5 for 'm_0_0', max allowed is 4; ".repeat(5)};`,
    ),
  });
});

const sample = (size: string, dims: string) => `model_warmup { name: "s" ${size} ${input('zero_data: true', dims)} }`;
test.each([
  ['a batch', sample('batch_size: 1500000000', '3'), '100000 requests (got 1500000000)'],
  ['repeated batches', sample('batch_size: 200 count: 501', '3'), '100000 requests (got 100200)'],
  ['runs', sample('batch_size: 1 count: 600', '3').repeat(2), '1000 runs (got 1200)'],
  ['an input', sample('batch_size: 1', '16777217'), '67108864 bytes of input (got 67108868)'],
  ['the inputs of a batch', sample('batch_size: 4', '8388608'), '67108864 bytes of input (got 134217728)'],
  [
    'the inputs of several samples',
    sample('batch_size: 1', '8388608').repeat(3),
    '67108864 bytes of input (got 100663296)',
  ],
])('a warm-up that asks for too much is refused before it is allocated: %s', async (_, samples, excess) => {
  const { client } = await start(model(`max_batch_size: 2000000000 ${tensors('-1')} ${samples}`));
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining(`model_warmup of model 'm' must ask for at most ${excess}`),
  });
});

const products = (dims: string) =>
  `max_batch_size: 0 ${tensors('-1, -1')} model_warmup { name: "s" batch_size: 1 ${input('zero_data: true', dims)} }`;

test('a failing warm-up ends the server at startup, and fails a later load with its reason', async () => {
  const files = { 'm/1/model.onnx': slowModel(2), 'm/config.pbtxt': products('2, 3') };
  await expect(start(files, { modelControl: 'none' })).rejects.toMatchObject({
    code: Status.INTERNAL,
    message: expect.stringContaining("failed to run warmup sample 's': onnx runtime error"),
  });
});

test('a model keeps serving when the warm-up of its replacement fails', async () => {
  const { client, folder } = await start({ 'm/1/model.onnx': slowModel(2), 'm/config.pbtxt': products('2, 2') });
  await client.repositoryModelLoad({ modelName: 'm' });
  mkdirSync(join(folder, 'm', 'warmup'));
  writeFileSync(join(folder, 'm', 'config.pbtxt'), products('2, 3'));
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    message: expect.stringContaining('MatMul'),
  });
  expect((await client.modelReady({ name: 'm' })).ready).toBe(true);
});

test.each([
  ['that takes too long', () => ({ signal: new AbortController().signal, maxSeconds: 0 }), /must take at most 0 s$/],
  ['of a server that stops', () => ({ signal: AbortSignal.abort(), maxSeconds: 60 }), /the server is stopping$/],
])('a warm-up %s ends', async (_, limits, text) => {
  const { folder, remove } = folderOf({ 'model.onnx': slowModel(300) });
  scope.defer(remove);
  const instance = await ModelInstance.start({ modelFile: join(folder, 'model.onnx'), intraOpThreads: 1 });
  scope.add(instance);
  const config = configFromText(
    `name: "m" ${products('256, 256').replace('batch_size: 1', 'batch_size: 1 count: 1000')}`,
  );
  const { signal, maxSeconds } = limits();
  await expect(warmUp(instance, config, folder, new Statistics(), signal, maxSeconds)).rejects.toThrow(text);
});

test('stopping the server ends a load and its warm-up', async () => {
  const config = products('256, 256').replace('batch_size: 1', 'batch_size: 1 count: 1000');
  const { client, stop } = await start({ 'm/1/model.onnx': slowModel(300), 'm/config.pbtxt': config });
  const load = client.repositoryModelLoad({ modelName: 'm' });
  const ended = expect(load).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    // Before the model's session is loaded or after it.
    message: expect.stringContaining('the server is stopping'),
  });
  await eventually(async () => (await client.repositoryIndex({})).models[0]?.state === 'LOADING');
  await stop();
  await ended;
});

test('aborting the start of a server ends its warm-ups', async () => {
  const config = products('256, 256').replace('batch_size: 1', 'batch_size: 1 count: 1000');
  const { folder, remove } = folderOf({ 'm/1/model.onnx': slowModel(300), 'm/config.pbtxt': config });
  scope.defer(remove);
  const abort = new AbortController();
  const log = createLogger('test', 'silent');
  const options = { address: '127.0.0.1:0', repository: folder, log, intraOpThreads: 1, signal: abort.signal };
  const starting = startInferenceServer(options);
  setTimeout(() => abort.abort(new Error('no longer wanted')), 500);
  await expect(starting).rejects.toThrow('no longer wanted');
});

test('an ensemble has no warm-up of its own', async () => {
  const config = `platform: "ensemble" model_warmup { name: "s" }
    input { name: "X" data_type: TYPE_FP32 dims: [ 1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] }
    ensemble_scheduling { step { model_name: "m" model_version: -1 input_map { key: "X" value: "X" }
      output_map { key: "Y" value: "Y" } } }`;
  await expect(start({ 'e/config.pbtxt': config, 'e/1/.keep': '' }, { modelControl: 'none' })).rejects.toMatchObject({
    message: expect.stringContaining("model_warmup can not be specified for ensemble 'e'"),
  });
});
