import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  GRPCInferenceServiceDefinition,
  type ModelInferRequest,
  ModelInferResponse,
  type SystemSharedMemoryRegisterRequest,
} from '../../../proto/gen/grpc_service.ts';
import { doublingModel, slowModel } from '../../inference/testing.ts';
import { FusionError } from '../../kit/errors.ts';
import { createLogger } from '../../kit/log.ts';
import { serve, service } from '../../kit/serve.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { type Tensor, tensor } from '../../pipeline/tensor.ts';
import { startModels, type TestTriton } from '../testing.ts';
import { TritonClient } from '../triton-client.ts';
import { minSharedBytes } from './layout.ts';
import { hasSharedMemory, randomName } from './shared-file.ts';

const scope = scopeOfEachTest();

const free = `max_batch_size: 0 input { name: "X" data_type: TYPE_FP32 dims: [ -1, -1 ] }
  output { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] }`;
const models = {
  'double/1/model.onnx': doublingModel(),
  'double/config.pbtxt': `backend: "onnxruntime" ${free}`,
  'slow/1/model.onnx': slowModel(500),
  'slow/config.pbtxt': `backend: "onnxruntime" ${free}`,
};
const side = Math.sqrt(minSharedBytes / 4);
const { signal } = new AbortController();

async function start(allowSharedMemory = true, sharedMemory: 'auto' | 'off' = 'auto'): Promise<TestTriton> {
  const triton = await startModels(models, { allowSharedMemory }, { sharedMemory });
  scope.add(triton);
  return triton;
}

/** Numbers that no other call has. */
function input(seed: number, rows = side): Tensor<'float32'> {
  const data = Float32Array.from({ length: rows * side }, (_, index) => seed + index);
  return tensor('float32', [rows, side], data);
}

async function double(client: TritonClient, seed: number, rows = side): Promise<void> {
  const X = input(seed, rows);
  const { Y } = await client.infer({ model: 'double', inputs: { X }, signal });
  expect(Y!.shape).toEqual(X.shape);
  expect(
    sameNumbers(
      Y!,
      X.data.map((value) => 2 * value),
    ),
  ).toBe(true);
}

function sameNumbers({ data }: Tensor, expected: Float32Array): boolean {
  return data.length === expected.length && expected.every((value, index) => value === data[index]);
}

async function registered(client: TritonClient): Promise<string[]> {
  return (await client.systemSharedMemory.status()).map(({ name }) => name);
}

const ownFiles = () => readdirSync('/dev/shm').filter((name) => name.includes(`-${process.pid}-`));

(hasSharedMemory ? describe : describe.skip)('shared memory', () => {
  test('is used automatically and repeatedly, and leaves nothing behind', async () => {
    const { client, address } = await start();
    for (let call = 0; call < 5; call++) {
      await double(client, call);
    }
    // One for the outputs alone, which was the proof, and one for inputs too.
    expect((await registered(client)).length).toBeLessThanOrEqual(2);
    expect(await client.whyNoSharedMemory()).toBeUndefined();
    expect(ownFiles()).toEqual([]);
    await client.close();
    const other = new TritonClient({ address });
    scope.add(other);
    expect(await registered(other)).toEqual([]);
  });

  test('is not shared by concurrent requests', async () => {
    const { client } = await start();
    await double(client, 0);
    await double(client, 1);
    await Promise.all(Array.from({ length: 8 }, (_, call) => double(client, 1000 * call)));
    expect((await registered(client)).length).toBeGreaterThan(2);
  });

  test.each(['auto', 'off'] as const)('the memory of released outputs serves others (%s)', async (sharedMemory) => {
    const { client } = await start(true, sharedMemory);
    const run = async (seed: number) =>
      (await client.infer({ model: 'double', inputs: { X: input(seed) }, signal })).Y!;
    await double(client, 0);
    await double(client, 1);
    const [kept, released] = [await run(2), await run(3)];
    client.release({ Y: released });
    client.release({ Y: released });
    const [next, other] = [await run(4), await run(5)];
    client.release({ Y: released });
    const last = await run(6);
    // In messages, the server in this process may take it first.
    const isReused = [next, other, last].map(({ data }) => data.buffer === released.data.buffer);
    expect(isReused).toEqual([sharedMemory === 'auto', false, false]);
    for (const [seed, { data }] of Object.entries({ 2: kept, 4: next, 5: other, 6: last })) {
      expect(data[1]).toBe(2 * (Number(seed) + 1));
    }
  });

  test('takes inputs and outputs of changing sizes', async () => {
    const { client } = await start();
    for (const rows of [side, 3 * side, 2 * side, side, 5 * side, 3 * side]) {
      await double(client, rows, rows);
      await double(client, -rows, rows);
    }
  });

  test('is not used for small tensors, nor when it is switched off', async () => {
    const { client } = await start();
    await double(client, 0, 1);
    await double(client, 1, 1);
    expect(await registered(client)).toEqual([]);
    const off = await start(true, 'off');
    await double(off.client, 0);
    await double(off.client, 1);
    expect(await registered(off.client)).toEqual([]);
    expect(await off.client.whyNoSharedMemory()).toBe('it is switched off');
  });

  test('is not used if the server does not allow it', async () => {
    const { client } = await start(false);
    expect(await client.whyNoSharedMemory()).toContain('Client shared memory is disabled');
    await double(client, 0);
    await double(client, 1);
  });

  test('is not used beyond its limit in bytes', async () => {
    const { address } = await start();
    const client = new TritonClient({ address, maxBytesInFlight: 1 << 20 });
    scope.add(client);
    for (let call = 0; call < 4; call++) {
      await double(client, call, 8 * side);
    }
    expect(await registered(client)).toEqual([]);
  });

  test('a server that lost its regions is still used', async () => {
    const { client } = await start();
    for (let call = 0; call < 3; call++) {
      await double(client, call);
    }
    await client.systemSharedMemory.unregister();
    await double(client, 3);
    expect(await client.whyNoSharedMemory()).toBeUndefined();
    await double(client, 4);
    expect((await registered(client)).length).toBeGreaterThan(0);
  });

  test('the region of an abandoned request is not reused', async () => {
    const { client } = await start();
    await double(client, 0);
    await double(client, 1);
    await client.infer({ model: 'slow', inputs: { X: input(0) }, signal });
    const before = await registered(client);
    const abort = new AbortController();
    const call = client.infer({ model: 'slow', inputs: { X: input(0) }, signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await double(client, 2);
    await double(client, 3);
    const after = await registered(client);
    expect(before).toHaveLength(1);
    expect(after).toHaveLength(2);
    expect(after).toEqual(expect.arrayContaining(before));
  });

  test("a model's error reads the same as without shared memory", async () => {
    const { client } = await start();
    await double(client, 0);
    await double(client, 1);
    const flat = tensor('float32', [side * side], input(0).data);
    await expect(client.infer({ model: 'double', inputs: { X: flat }, signal })).rejects.toThrow('unexpected shape');
  });

  test('only the leftovers of killed processes are removed', async () => {
    const { client, address } = await start();
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const dead = randomName().replace(`-${process.pid}-`, `-${pid}-`);
    const alive = randomName();
    for (const name of [dead, alive]) {
      writeFileSync(`/dev/shm/${name}`, new Uint8Array(4096));
      await client.systemSharedMemory.register({ name, key: `/${name}`, byteSize: 4096 });
    }
    const other = new TritonClient({ address });
    scope.add(other);
    expect(await other.whyNoSharedMemory()).toBeUndefined();
    expect(await registered(client)).toEqual([alive]);
    expect(ownFiles()).toEqual([alive]);
    expect(readdirSync('/dev/shm')).not.toContain(dead);
    await client.systemSharedMemory.unregister();
    spawnSync('rm', [`/dev/shm/${alive}`]);
  });
});

/** A server that registers the regions `registers` accepts and never touches them. */
async function startPretender(registers: (request: SystemSharedMemoryRegisterRequest) => void): Promise<TritonClient> {
  const { methods } = GRPCInferenceServiceDefinition;
  const { modelInfer, systemSharedMemoryStatus, systemSharedMemoryRegister, systemSharedMemoryUnregister } = methods;
  const definition = {
    ...GRPCInferenceServiceDefinition,
    methods: { modelInfer, systemSharedMemoryStatus, systemSharedMemoryRegister, systemSharedMemoryUnregister },
  };
  const regions = new Map<string, SystemSharedMemoryRegisterRequest>();
  const implementation = {
    async modelInfer({ inputs, outputs, rawInputContents }: ModelInferRequest) {
      const isShared = outputs.length > 0;
      return ModelInferResponse.fromPartial({
        outputs: [{ name: 'Y', datatype: 'FP32', shape: inputs[0]!.shape }],
        rawOutputContents: isShared ? [new Uint8Array()] : rawInputContents,
      });
    },
    async systemSharedMemoryStatus() {
      return { regions: Object.fromEntries(regions) };
    },
    async systemSharedMemoryRegister(request: SystemSharedMemoryRegisterRequest) {
      registers(request);
      regions.set(request.name, request);
      return {};
    },
    async systemSharedMemoryUnregister({ name }: { name: string }) {
      regions.delete(name);
      return {};
    },
  };
  const log = createLogger('test', 'silent');
  const services = [service(definition, implementation as never)];
  const server = await serve({ address: '127.0.0.1:0', services, log });
  const client = new TritonClient({ address: server.address });
  scope.add(server);
  scope.add(client);
  return client;
}

(hasSharedMemory ? describe : describe.skip)('a server that does not see this memory is detected', () => {
  test('by registering what does not exist', async () => {
    const client = await startPretender(() => {});
    expect(await client.whyNoSharedMemory()).toBe('the server registers regions that do not exist');
  });

  test('by its first answer, which is asked for again', async () => {
    const client = await startPretender(({ key }) => {
      if (!readdirSync('/dev/shm').includes(key.slice(1))) {
        throw new FusionError(13, 'Unable to open shared memory region');
      }
    });
    const X = input(7);
    for (let call = 0; call < 3; call++) {
      const { Y } = await client.infer({ model: 'echo', inputs: { X }, signal });
      expect(sameNumbers(Y!, X.data)).toBe(true);
    }
    expect(await client.whyNoSharedMemory()).toBe('the server does not write to the memory that it registered');
  });
});
