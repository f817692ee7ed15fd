import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { startInferenceServer } from '../inference/server.ts';
import type { FusionError } from '../kit/errors.ts';
import { createLogger } from '../kit/log.ts';
import { packageRoot } from '../kit/package-root.ts';
import { createAuthority } from '../kit/testing/certificates.ts';
import { tensor } from '../pipeline/tensor.ts';
import { readClasses } from './inference/classes.ts';
import type { InferenceRequest } from './inference/inference-request.ts';
import { hasSharedMemory } from './shared-memory/shared-file.ts';
import { floatTensor, textTensor, toFloat32, toTexts, tritonTensor } from './tensors/triton-tensor.ts';
import { startRecordedModels, type TestTriton } from './testing.ts';
import { TritonClient } from './triton-client.ts';

let server: TestTriton;
let address: string;
let triton: TritonClient;
const { signal } = new AbortController();
beforeAll(async () => {
  server = await startRecordedModels({ allowSharedMemory: true });
  ({ address, client: triton } = server);
});
afterAll(() => server.stop());

test('every example of the README is in this file', () => {
  const withoutSpace = (text: string) => text.replaceAll(/\s+/g, '');
  const here = withoutSpace(readFileSync(join(packageRoot, 'services', 'triton', 'readme.test.ts'), 'utf8'));
  const readme = readFileSync(join(packageRoot, 'services', 'triton', 'README.md'), 'utf8');
  const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
  expect(examples.length).toBeGreaterThan(6);
  expect(examples.filter((code) => !here.includes(withoutSpace(code)))).toEqual([]);
});

test('running a model', async () => {
  const triton = new TritonClient({ address });
  const { OUTPUT0 } = await triton.infer({
    model: 'addsub',
    inputs: {
      INPUT0: tensor('float32', [1, 4], Float32Array.of(1, 2, 3, 4)),
      INPUT1: tensor('float32', [1, 4], Float32Array.of(10, 10, 10, 10)),
    },
    signal,
  });
  expect([...OUTPUT0!.data]).toEqual([11, 12, 13, 14]);
  await triton.close();
});

test('every field of a request', async () => {
  const { outputs, version } = await triton.inference.run(
    {
      model: 'classify',
      version: '1',
      id: 'request 7',
      inputs: { X: tritonTensor('FP32', [1, 4], Float32Array.of(0.1, 0.2, 0.6, 0.1)) },
      outputs: { SCORES: { classes: 2 } },
      priority: 1,
      queueTimeoutMicroseconds: 500_000,
      sequence: { id: 42n, start: true, end: true },
      parameters: { owner: 'readme' },
    },
    { timeoutSeconds: 5, headers: { authorization: 'Bearer token' } },
  );
  const [best] = readClasses(outputs.SCORES!)[0]!;
  expect(version).toBe('1');
  expect(best).toMatchObject({ index: 2, score: 0.6 });
});

test('half floats and texts', async () => {
  const halves = floatTensor('FP16', [2], Float32Array.of(0.5, 1));
  const sum = await triton.inference.run({ model: 'fp16_add1', inputs: { X: halves } });
  const values = toFloat32(sum.outputs.Y!);

  const texts = textTensor([2], ['a lake', 'at dusk']);
  const same = await triton.inference.run({ model: 'str_identity', inputs: { S: texts }, contents: 'typed' });
  const words = toTexts(same.outputs.T!);

  expect([...values]).toEqual([1.5, 2]);
  expect(words).toEqual(['a lake', 'at dusk']);
});

test('streams', async () => {
  const seen: string[] = [];
  const frames: InferenceRequest[] = [1, 2, 3].map((value) => ({
    model: 'int64_double',
    id: `frame ${value}`,
    inputs: { X: tritonTensor('INT64', [1, 3], new BigInt64Array(3).fill(BigInt(value))) },
  }));
  for await (const { id, isFinal, result, error } of triton.inference.stream(frames)) {
    seen.push(`${id}: ${error?.message ?? result?.outputs.Y?.data[0]} ${isFinal}`);
  }
  expect(seen).toEqual(['frame 1: 2 true', 'frame 2: 4 true', 'frame 3: 6 true']);
});

test('the server and its models', async () => {
  await triton.server.isLive();
  await triton.server.isReady();
  const { extensions } = await triton.server.metadata();
  await triton.models.isReady('addsub');
  const { inputs } = await triton.models.metadata('addsub', { version: '1' });
  const { maxBatchSize } = await triton.models.config('addsub');
  const [statistics] = await triton.models.statistics('addsub');
  const models = await triton.repository.index({ ready: true });
  await triton.settings.log({ log_verbose_level: 1 });

  expect(await triton.server.isLive()).toBe(true);
  // Some of these models cannot be loaded.
  expect(await triton.server.isReady()).toBe(false);
  expect(await triton.models.isReady('broken_onnx')).toBe(false);
  expect(extensions).toContain('model_repository');
  expect(inputs.map(({ name }) => name)).toEqual(['INPUT0', 'INPUT1']);
  expect(maxBatchSize).toBe(8);
  expect(statistics!.version).toBe('1');
  expect(models.every(({ state }) => state === 'READY')).toBe(true);
  expect(await triton.settings.log()).toMatchObject({ log_verbose_level: 1 });
});

(hasSharedMemory ? test : test.skip)('shared memory', async () => {
  const key = `fusionframes-readme-${randomBytes(8).toString('hex')}`;
  const content = new Float32Array(1024).fill(3);
  writeFileSync(`/dev/shm/${key}`, new Uint8Array(content.buffer));
  try {
    await triton.systemSharedMemory.register({ name: 'mine', key: `/${key}`, byteSize: 4096 });
    const { placed } = await triton.inference.run({
      model: 'addsub',
      inputs: {
        INPUT0: { datatype: 'FP32', shape: [1, 4], from: { region: 'mine', byteSize: 16 } },
        INPUT1: { datatype: 'FP32', shape: [1, 4], from: { region: 'mine', offset: 16, byteSize: 16 } },
      },
      outputs: { OUTPUT0: { into: { region: 'mine', offset: 1024, byteSize: 16 } } },
    });
    await triton.systemSharedMemory.unregister('mine');

    expect(placed.OUTPUT0).toMatchObject({ datatype: 'FP32', shape: [1, 4] });
    const after = new Float32Array(Uint8Array.from(readFileSync(`/dev/shm/${key}`)).buffer);
    expect([...after.subarray(255, 261)]).toEqual([3, 6, 6, 6, 6, 3]);
  } finally {
    rmSync(`/dev/shm/${key}`);
  }
});

test('connection, bounds and errors', async () => {
  const authority = createAuthority();
  const ca = authority.certificate;
  const { certificate, key } = authority.issue('client');
  const behindTls = await startInferenceServer({
    address: '127.0.0.1:0',
    repository: join(packageRoot, 'test', 'fixtures', 'triton', 'models'),
    modelControl: 'explicit',
    log: createLogger('test', 'silent'),
    tls: { ...authority.issue('server', ['inference.test']), clientCa: ca },
  });
  const { address } = behindTls;
  const secure = new TritonClient({
    address,
    tls: { ca, certificate, key, serverName: 'inference.test' },
    requestTimeoutSeconds: 60,
    maxBytesInFlight: 64 << 20,
  });
  expect(await secure.server.isLive()).toBe(true);
  await secure.repository.load('addsub', { config: { name: 'addsub', max_batch_size: 2, backend: 'onnxruntime' } });
  expect((await secure.models.config('addsub')).maxBatchSize).toBe(2);
  await secure.close();
  await behindTls.stop();

  const error: FusionError = await triton.models.metadata('nope').catch((thrown) => thrown);
  expect(error.code).toBe(Status.NOT_FOUND);
});
