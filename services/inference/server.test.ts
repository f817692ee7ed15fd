import { appendFileSync, cpSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createChannel, createClient, Metadata } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import type { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import type { ConnectedClient } from '../kit/channel.ts';
import { deferred } from '../kit/deferred.ts';
import { createLogger } from '../kit/log.ts';
import { packageRoot } from '../kit/package-root.ts';
import { scopeOfEachTest } from '../kit/testing/test-scope.ts';
import { type InferenceServerOptions, startInferenceServer } from './server.ts';
import { doubling, infer, slowFiles, startTestInference } from './testing/test-inference.ts';
import { doublingModel, folderOf } from './testing.ts';

const log = createLogger('test', 'silent');
const recordedModels = join(packageRoot, 'test', 'fixtures', 'triton', 'models');

const scope = scopeOfEachTest();

const start = (files: Record<string, string | Uint8Array>, options: Partial<InferenceServerOptions> = {}) =>
  startTestInference(scope, files, options);

/** The first element of each output for an X of 1. */
async function outputsOf(client: ConnectedClient<GRPCInferenceServiceDefinition>, modelName: string, names: string[]) {
  const answer = await client.modelInfer({
    modelName,
    inputs: [{ name: 'X', datatype: 'FP32', shape: [1n, 1n] }],
    rawInputContents: [Buffer.from(Float32Array.of(1).buffer)],
    outputs: names.map((name) => ({ name })),
  });
  return Object.fromEntries(
    answer.outputs.map(({ name }, index) => [name, Buffer.from(answer.rawOutputContents[index]!).readFloatLE()]),
  );
}

test('health and progress of other calls do not wait for a model that runs', async () => {
  const { client, address } = await start(slowFiles);
  const events: string[] = [];
  const running = client.modelInfer(infer('slow', [512n, 512n])).then(() => events.push('inferred'));
  const channel = createChannel(address);
  scope.add(channel);
  const health = createClient(HealthDefinition, channel);
  for (let call = 0; call < 3; call++) {
    expect((await health.check({ service: '' })).status).toBe(1);
    expect((await client.modelReady({ name: 'slow' })).ready).toBe(true);
    events.push('healthy');
  }
  await running;
  expect(events).toEqual(['healthy', 'healthy', 'healthy', 'inferred']);
});

test('a request whose deadline passes in the queue is not run', async () => {
  const { client } = await start({
    'patient/1/model.onnx': doublingModel(),
    'patient/config.pbtxt': `backend: "onnxruntime" max_batch_size: 2
      input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } output { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }
      dynamic_batching { max_queue_delay_microseconds: 3600000000 }`,
  });
  const late = client.modelInfer(infer('patient', [1n, 2n]), { deadline: 50 });
  await expect(late).rejects.toMatchObject({ code: Status.DEADLINE_EXCEEDED });
  const answers = await Promise.all([1, 2].map(() => client.modelInfer(infer('patient', [1n, 2n]))));
  expect(answers.map((answer) => answer.outputs[0]?.shape)).toEqual([
    [1n, 2n],
    [1n, 2n],
  ]);
  const { modelStats } = await client.modelStatistics({ name: 'patient' });
  expect(modelStats[0]).toMatchObject({ inferenceCount: 2n, executionCount: 1n });
});

test('a stream answers in the order of its requests', async () => {
  const { client } = await start({ ...slowFiles, 'fast/1/model.onnx': doublingModel() });
  async function* requests() {
    yield { ...infer('slow', [256n, 256n]), id: 'slow' };
    yield { ...infer('fast', [1n, 2n]), id: 'fast' };
    yield { ...infer('nope', [1n, 2n]), id: 'refused' };
  }
  const ids: (string | undefined)[] = [];
  for await (const { inferResponse, errorMessage } of client.modelStreamInfer(requests())) {
    ids.push(inferResponse?.id);
    expect(errorMessage !== '').toBe(inferResponse?.id === 'refused');
  }
  expect(ids).toEqual(['slow', 'fast', 'refused']);
});

test('a failed run ends a stream that asked for statuses, and its other requests', async () => {
  const { client } = await start({});
  const metadata = Metadata({ triton_grpc_error: 'true' });
  const ended = deferred();
  async function* requests() {
    yield infer('nope', [1n, 2n]);
    await ended.promise;
  }
  const answers = client.modelStreamInfer(requests(), { metadata })[Symbol.asyncIterator]();
  expect((await answers.next()).value?.errorMessage).toContain('nope');
  ended.resolve();
  expect((await answers.next()).done).toBe(true);
});

test('an ensemble leaves with its member and comes back with it', async () => {
  const { client, folder } = await start({}, { modelControl: 'explicit' });
  for (const model of ['addsub', 'ens']) {
    cpSync(join(recordedModels, model), join(folder, model), { recursive: true });
  }
  await client.repositoryModelLoad({ modelName: 'ens' });
  expect((await client.modelReady({ name: 'ens' })).ready).toBe(true);
  await client.repositoryModelUnload({ modelName: 'addsub' });
  await expect(client.modelReady({ name: 'ens' })).rejects.toMatchObject({ code: Status.NOT_FOUND });
  await client.repositoryModelLoad({ modelName: 'addsub' });
  expect((await client.modelReady({ name: 'ens' })).ready).toBe(true);
});

test.each([
  ['other', 'name: "another" backend: "onnxruntime"', /directory name must equal/],
  ['broken', 'max_batch_size: many', /config\.pbtxt/],
])('a configuration that cannot be used is refused: %s', async (modelName, config, fault) => {
  const files = { [`${modelName}/config.pbtxt`]: config };
  await expect(start(files)).rejects.toMatchObject({ code: Status.INTERNAL, message: expect.stringMatching(fault) });
  const { client } = await start(files, { modelControl: 'explicit' });
  await expect(client.repositoryModelLoad({ modelName })).rejects.toMatchObject({
    code: Status.INTERNAL,
    message: expect.stringMatching(/failed to poll from model repository$/),
  });
  expect((await client.serverReady({})).ready).toBe(true);
});

test.each([
  ['python', 'backend: "python"', 'model.py'],
  ['tensorrt', 'platform: "tensorrt_plan"', 'model.plan'],
  ['tensorflow', 'platform: "tensorflow_savedmodel"', 'model.savedmodel'],
  ['tensorflow', 'platform: "tensorflow_graphdef"', 'other.graphdef'],
  ['pytorch', 'platform: "pytorch_libtorch"', 'model.pt'],
  ['pytorch', 'max_batch_size: 1', 'model.pt'],
  ['tensorrt', 'default_model_filename: "model.plan"', 'model.plan'],
])('a model of backend %s (%s) stays in the index with the reason', async (backend, config, file) => {
  const files = { [`other/1/${file}`]: '', 'other/config.pbtxt': config };
  const { client } = await start(files, { exitOnError: false });
  const reason = `Invalid argument: unable to find backend library for backend '${backend}'`;
  expect((await client.repositoryIndex({})).models).toEqual([
    { name: 'other', version: '1', state: 'UNAVAILABLE', reason: expect.stringContaining(reason) },
  ]);
  const explicit = await start(files, { modelControl: 'explicit' });
  await expect(explicit.client.repositoryModelLoad({ modelName: 'other' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining(`version 1 is at UNAVAILABLE state: ${reason}`),
  });
});

test('invalid uploaded files leave the served model unchanged', async () => {
  const { client } = await start(doubling(''), { modelControl: 'explicit' });
  await client.repositoryModelLoad({ modelName: 'm' });
  const tensor = (name: string) => ({ name, data_type: 'TYPE_FP32', dims: [-1] });
  const sendGarbage = (max_batch_size: number) => {
    const config = { backend: 'onnxruntime', max_batch_size, input: [tensor('X')], output: [tensor('Y')] };
    return client.repositoryModelLoad({
      modelName: 'm',
      parameters: {
        config: { parameterChoice: { $case: 'stringParam', value: JSON.stringify(config) } },
        'file:1/model.onnx': { parameterChoice: { $case: 'bytesParam', value: Buffer.from('garbage') } },
      },
    });
  };
  const expectServed = async () => {
    const { config } = await client.modelConfig({ name: 'm' });
    expect(config?.maxBatchSize).toBe(4);
    expect((await client.repositoryIndex({})).models).toEqual([
      { name: 'm', version: '1', state: 'READY', reason: '' },
    ]);
    expect(await outputsOf(client, 'm', ['Y'])).toEqual({ Y: 2 });
  };
  // As Triton does: the same configuration is a success, another one a failure.
  await sendGarbage(4);
  await expectServed();
  await expect(sendGarbage(8)).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
  await expectServed();
});

test('uploaded files that cannot be written leave nothing behind', async () => {
  const { client } = await start(doubling(''), { modelControl: 'explicit' });
  const folders = () => readdirSync(tmpdir()).filter((name) => name.includes(`-${process.pid}-`));
  const before = folders();
  const content = { parameterChoice: { $case: 'bytesParam' as const, value: Buffer.from('x') } };
  const config = { parameterChoice: { $case: 'stringParam' as const, value: '{"backend":"onnxruntime"}' } };
  for (const paths of [['../evil'], [''], ['a\0b'], ['1', '1/model.onnx'], ['x'.repeat(300)]]) {
    const files = Object.fromEntries(paths.map((path) => [`file:${path}`, content]));
    const load = client.repositoryModelLoad({ modelName: 'm', parameters: { config, ...files } });
    await expect(load).rejects.toMatchObject({ message: expect.stringContaining("failed to load 'm'") });
  }
  expect(folders()).toEqual(before);
});

test('an ensemble asked for one output runs the steps of its chain alone', async () => {
  const step = (model: string, from: string, to: string) =>
    `{ model_name: "${model}" model_version: -1 input_map { key: "X" value: "${from}" } output_map { key: "Y" value: "${to}" } }`;
  const ensemble = (...outputs: string[]) => {
    const declared = outputs.map((name) => `{ name: "${name}" data_type: TYPE_FP32 dims: [ -1 ] }`);
    return `platform: "ensemble" max_batch_size: 4 input { name: "X" data_type: TYPE_FP32 dims: [ -1 ] }
      output [ ${declared} ]
      ensemble_scheduling { step [ ${[step('m', 'X', 's'), step('m', 's', 'C'), step('n', 'X', 'D')]} ] }`;
  };
  const { client } = await start({
    ...doubling(''),
    'n/1/model.onnx': doublingModel(),
    'chain/1/.keep': '',
    'chain/config.pbtxt': ensemble('C', 'D'),
    'open/1/.keep': '',
    'open/config.pbtxt': ensemble('s', 'C', 'D'),
  });
  const runs = async () =>
    Object.fromEntries(
      (await client.modelStatistics({})).modelStats.map(({ name, executionCount }) => [name, executionCount]),
    );
  expect(await outputsOf(client, 'chain', ['C'])).toEqual({ C: 4 });
  expect(await runs()).toMatchObject({ m: 2n, n: 0n });
  expect(await outputsOf(client, 'chain', ['D'])).toEqual({ D: 2 });
  expect(await runs()).toMatchObject({ m: 2n, n: 1n });
  expect(await outputsOf(client, 'open', ['s', 'C'])).toEqual({ s: 2, C: 4 });
  // As Triton does: a step whose output is not wanted does not run, even where a later step reads it.
  await expect(outputsOf(client, 'open', ['C'])).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining('unexpected deadlock'),
  });
});

test.each([
  [
    'batch_input [ { kind: BATCH_ELEMENT_COUNT target_name: "X" data_type: TYPE_FP32 source_input: "X" } ]',
    'batch_input',
  ],
  ['model_transaction_policy { decoupled: true }', 'model_transaction_policy.decoupled'],
  ['model_repository_agents { agents [ { name: "checksum" } ] }', 'model_repository_agents'],
  ['instance_group [ { kind: KIND_CPU passive: true } ]', 'instance_group.passive'],
  ['runtime: "libtriton_other.so"', 'runtime'],
  ['model_operations { op_library_filename: "libops.so" }', 'model_operations.op_library_filename'],
  [`input { name: "Z" is_non_linear_format_io: true }`, 'input.is_non_linear_format_io'],
  [`output { name: "Z" is_non_linear_format_io: true }`, 'output.is_non_linear_format_io'],
])('what would change results is refused: %s', async (more, field) => {
  await expect(start(doubling(more))).rejects.toThrow(`this server does not support ${field}, which m requires`);
});

test('a negative count of instances is refused', async () => {
  await expect(start(doubling('instance_group [ { name: "g" kind: KIND_CPU count: -5 } ]'))).rejects.toThrow(
    "instance group g of model m: 'count' must not be negative (got -5)",
  );
});

test('configurations with harmless unsupported fields are served', async () => {
  const { client } = await start(doubling('response_cache { enable: true }'));
  expect((await client.modelReady({ name: 'm' })).ready).toBe(true);
});

const unusedWarmup = (file: string) =>
  `model_warmup { name: "w" batch_size: 0 inputs { key: "X" value { data_type: TYPE_FP32 dims: 1 input_data_file: "${file}" } } }`;

test.each([
  ['label_filename: "../secret"', ''],
  ['label_filename: "link"', ''],
  ['', 'default_model_filename: "../../secret"'],
  ['', 'default_model_filename: "../link"'],
  ['', 'cc_model_filenames { key: "9.0" value: "../../secret" }'],
  ['', 'cc_model_filenames { key: "9.0" value: "../link" }'],
  ['', unusedWarmup('../../secret')],
  ['', unusedWarmup('../link')],
])('no path of a configuration leaves the model: %s%s', async (output, more) => {
  const { client, folder } = await start(
    { ...doubling(more, output), secret: 'of the host' },
    { modelControl: 'explicit' },
  );
  symlinkSync(join(folder, 'secret'), join(folder, 'm', 'link'));
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining("must stay within the model's folder"),
  });
});

test.each([
  ['label_filename: "."', '', "label_filename of output 'Y' of model 'm' must be a file (got the folder"],
  ['label_filename: "1"', '', "label_filename of output 'Y' of model 'm' must be a file (got the folder"],
  ['', 'default_model_filename: "."', "default_model_filename of model 'm' must be a file (got the folder"],
])('a folder in place of a file is refused: %s%s', async (output, more, text) => {
  const { client } = await start(doubling(more, output), { modelControl: 'explicit' });
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining(text),
  });
});

test('the files of a configuration are bounded', async () => {
  const output = 'label_filename: "labels"';
  const { client, folder } = await start(doubling('', output), { modelControl: 'explicit' });
  writeFileSync(join(folder, 'm', 'labels'), '\n'.repeat(8 << 20));
  await client.repositoryModelLoad({ modelName: 'm' });
  appendFileSync(join(folder, 'm', 'labels'), '\n');
  await expect(client.repositoryModelLoad({ modelName: 'm' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining("label files of model 'm' must have at most 8388608 bytes in all (got 8388609)"),
  });
  const config = `{"name": "m"${' '.repeat(4 << 20)}}`;
  await expect(
    client.repositoryModelLoad({
      modelName: 'm',
      parameters: { config: { parameterChoice: { $case: 'stringParam', value: config } } },
    }),
  ).rejects.toMatchObject({ code: Status.INTERNAL, message: expect.stringContaining("failed to load 'm'") });
  expect((await client.modelReady({ name: 'm' })).ready).toBe(true);
});

describe('no model outside the repository', () => {
  const outside = ['..', '.', '../outside/m', '../../../work', 'a/b', 'a\\b', '/etc', 'a\0b'];
  const refusal = (name: string) => ({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining(
      `invalid model name '${name}', model name must not contain path traversal characters`,
    ),
  });

  test('is loaded by a request or as a member of an ensemble', async () => {
    const files = { 'outside/m/1/model.onnx': doublingModel(), 'models/e/1/.keep': '' };
    const { folder, remove } = folderOf(files);
    scope.defer(remove);
    const { client } = await start({}, { repository: join(folder, 'models'), modelControl: 'explicit' });
    for (const modelName of outside) {
      await expect(client.repositoryModelLoad({ modelName })).rejects.toMatchObject(refusal(modelName));
      const step = { model_name: modelName, model_version: -1, input_map: { X: 'X' }, output_map: { Y: 'Y' } };
      const tensor = (name: string) => [{ name, data_type: 'TYPE_FP32', dims: [-1, -1] }];
      const config = {
        platform: 'ensemble',
        input: tensor('X'),
        output: tensor('Y'),
        ensemble_scheduling: { step: [step] },
      };
      const value = JSON.stringify(config);
      const parameters = { config: { parameterChoice: { $case: 'stringParam' as const, value } } };
      await expect(client.repositoryModelLoad({ modelName: 'e', parameters })).rejects.toMatchObject(
        refusal(modelName),
      );
    }
    expect((await client.repositoryIndex({ ready: true })).models).toEqual([]);
  });

  test('is loaded at the start', async () => {
    const options = { modelControl: 'explicit' as const, loadModels: ['../m'] };
    await expect(start({}, options)).rejects.toThrow("invalid model name '../m'");
  });
});

test('a repository that is missing or has a bad model is a clear error', async () => {
  const options = { address: '127.0.0.1:0', log };
  await expect(startInferenceServer({ ...options, repository: '/nowhere' })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining('`repository` must be an existing folder'),
  });
  await expect(start({ 'bad/1/model.onnx': 'no model' })).rejects.toMatchObject({
    code: Status.INTERNAL,
    message: expect.stringContaining('Protobuf parsing failed'),
  });
});
