import { closeSync, existsSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { type InferParameter, ModelInferRequest } from '../../proto/gen/grpc_service.ts';
import { DataType, ModelConfig } from '../../proto/gen/model_config.ts';
import { scopeOfEachTest } from '../kit/testing/test-scope.ts';
import { runBatch } from './batching/run-batch.ts';
import { elementTypeNamed } from './datatypes.ts';
import { ModelInstance } from './execution/model-instance.ts';
import type { ModelOutputs } from './model.ts';
import { SharedMemory } from './shared-memory.ts';
import { doubling, startTestInference } from './testing/test-inference.ts';
import { folderOf, slowModel } from './testing.ts';

const scope = scopeOfEachTest();

/** A server and the regions that its client registers; each is a file whose second half is for the output. */
async function start(files: Record<string, string | Uint8Array>) {
  const { client } = await startTestInference(scope, files, { allowSharedMemory: true });
  let count = 0;
  const register = async (numbers: Float32Array<ArrayBuffer>) => {
    const name = `fusionframes-test-${process.pid}-${count++}`;
    const file = `/dev/shm/${name}`;
    scope.defer(() => rmSync(file, { force: true }));
    writeFileSync(file, new Uint8Array(2 * numbers.byteLength));
    writeFileSync(file, new Uint8Array(numbers.buffer), { flag: 'r+' });
    await client.systemSharedMemoryRegister({
      name,
      key: `/${name}`,
      offset: 0n,
      byteSize: BigInt(2 * numbers.byteLength),
    });
    const output = () => {
      const bytes = readFileSync(file);
      return [...new Float32Array(bytes.buffer, bytes.byteOffset + numbers.byteLength, numbers.length)];
    };
    return { name, file, byteSize: numbers.byteLength, output };
  };
  return { client, register };
}

function request(modelName: string, shape: bigint[], { name, byteSize }: { name: string; byteSize: number }) {
  const place = (offset: number): Record<string, InferParameter> => ({
    shared_memory_region: { parameterChoice: { $case: 'stringParam', value: name } },
    shared_memory_offset: { parameterChoice: { $case: 'int64Param', value: BigInt(offset) } },
    shared_memory_byte_size: { parameterChoice: { $case: 'int64Param', value: BigInt(byteSize) } },
  });
  return ModelInferRequest.fromPartial({
    modelName,
    inputs: [{ name: 'X', datatype: 'FP32', shape, parameters: place(0) }],
    outputs: [{ name: 'Y', parameters: place(byteSize) }],
  });
}

// Only Linux shows its shared memory objects as files.
(existsSync('/dev/shm') ? describe : describe.skip)('shared memory of requests', () => {
  test('a region that became shorter fails only its own request, alone or in a batch', async () => {
    const { client, register } = await start(doubling('dynamic_batching { max_queue_delay_microseconds: 3600000000 }'));
    const [good, cut, alone] = [
      await register(Float32Array.of(1, 2)),
      await register(Float32Array.of(3, 4)),
      await register(Float32Array.of(5, 6, 7, 8)),
    ];
    truncateSync(cut.file, 4);
    const batch = [good, cut].map((region) => client.modelInfer(request('m', [2n, 1n], region)));
    const tooShort = { code: Status.INTERNAL, message: expect.stringContaining('shorter than when it was registered') };
    await expect(batch[1]).rejects.toMatchObject(tooShort);
    expect((await batch[0])?.outputs[0]?.shape).toEqual([2n, 1n]);
    expect(good.output()).toEqual([2, 4]);

    await client.modelInfer(request('m', [4n, 1n], alone));
    expect(alone.output()).toEqual([10, 12, 14, 16]);
    truncateSync(alone.file, 4);
    await expect(client.modelInfer(request('m', [4n, 1n], alone))).rejects.toMatchObject(tooShort);
    const { modelStats } = await client.modelStatistics({ name: 'm' });
    expect(modelStats[0]?.inferenceStats).toMatchObject({ success: { count: 2n }, fail: { count: 2n } });
  });

  test('a run whose request was given up writes to its region and to nothing else', async () => {
    const { folder, remove } = folderOf({ 'model.onnx': slowModel(50) });
    scope.defer(remove);
    const instance = await ModelInstance.start({ modelFile: join(folder, 'model.onnx'), intraOpThreads: 1 });
    scope.add(instance);
    const memory = new SharedMemory();
    const key = `fusionframes-test-${process.pid}`;
    const file = `/dev/shm/${key}`;
    scope.defer(() => rmSync(file, { force: true }));
    const side = 256;
    const bytes = BigInt(4 * side * side);
    const numbers = new Float32Array(2 * side * side).fill(1 / side, 0, side * side);
    writeFileSync(file, new Uint8Array(numbers.buffer));
    memory.register('region', key, 0n, 2n * bytes);
    const [region, place] = [memory.lease('region', 0n, bytes), memory.lease('region', bytes, bytes)];
    const config = ModelConfig.fromPartial({ name: 'model', output: [{ name: 'Y', dataType: DataType.TYPE_FP32 }] });
    const shape = [BigInt(side), BigInt(side)];
    const request = {
      id: '',
      priority: 0n,
      timeoutMicroseconds: 0n,
      batchSize: 0,
      inputs: new Map([['X', { type: elementTypeNamed('FP32')!, shape, region }]]),
      outputs: ['Y'],
      places: new Map([['Y', place]]),
    };
    const run = runBatch(instance, [request], config);
    region.release();
    place.release();
    memory.unregister('region');
    // They would get the region's descriptor if it were closed already.
    const files = Array.from({ length: 4 }, (_, index) => join(folder, `other-${index}`));
    const descriptors = files.map((other) => openSync(other, 'w+'));
    const { outputs } = await run;
    expect((outputs[0] as ModelOutputs).get('Y')).toMatchObject({ shape, isPlaced: true });
    expect(readFileSync(file).equals(Buffer.from(numbers.fill(1 / side).buffer))).toBe(true);
    for (const descriptor of descriptors) {
      closeSync(descriptor);
    }
    expect(files.map((other) => readFileSync(other).length)).toEqual([0, 0, 0, 0]);
    await expect(runBatch(instance, [request], config)).rejects.toThrow('was released');
    expect(instance.isIdle).toBe(true);
  });
});
