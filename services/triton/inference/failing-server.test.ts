import { expect, test } from '@jest/globals';
import type { ServiceImplementation } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { GRPCInferenceServiceDefinition, type ModelInferRequest } from '../../../proto/gen/grpc_service.ts';
import { eventually } from '../../../test/support/cli.ts';
import { FusionError } from '../../kit/errors.ts';
import { createLogger } from '../../kit/log.ts';
import { serve, service } from '../../kit/serve.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { tensor } from '../../pipeline/tensor.ts';
import { tritonTensor } from '../tensors/triton-tensor.ts';
import { startRecordedModels } from '../testing.ts';
import { TritonClient } from '../triton-client.ts';

const scope = scopeOfEachTest();

/** A server that answers every request with an error; it records their ids and priorities. */
async function startFailing(code: Status) {
  const requests: string[] = [];
  const priorities: unknown[] = [];
  const fail = async (request: unknown) => {
    const { id, parameters = {} } = request as ModelInferRequest;
    requests.push(id);
    priorities.push(parameters.priority?.parameterChoice?.value);
    throw new FusionError(code, 'onnxruntime: failed to allocate memory');
  };
  const implementation = Object.fromEntries(
    Object.keys(GRPCInferenceServiceDefinition.methods).map((method) => [method, fail]),
  ) as unknown as ServiceImplementation<GRPCInferenceServiceDefinition>;
  const { address } = await scope.open(() =>
    serve({
      address: '127.0.0.1:0',
      services: [service(GRPCInferenceServiceDefinition, implementation)],
      log: createLogger('test', 'silent'),
    }),
  );
  return { address, requests, priorities };
}

function clientOf(address: string): TritonClient {
  return scope.add(new TritonClient({ address, sharedMemory: 'off' }));
}

const model = 'bf16_identity';
const X = tritonTensor('BF16', [2], Uint16Array.of(1, 2));
const request = (id = '') => ({ model, id, inputs: { X } });

test('if one of two servers only answers INTERNAL, the other answers every request', async () => {
  const failing = await startFailing(Status.INTERNAL);
  const sound = await scope.open(() => startRecordedModels({ modelControl: 'explicit', loadModels: [model] }));
  const both = `ipv4:${failing.address},${sound.address}`;
  const { inference: first } = clientOf(both);
  // Until both are connected.
  await eventually(async () => {
    const isSound = await first.run(request()).then(
      () => true,
      () => false,
    );
    return isSound && failing.requests.length > 0;
  });
  failing.requests.length = 0;
  // Another client, which does not know yet that one of them fails.
  const { inference } = clientOf(both);
  for (let id = 1; failing.requests.length === 0 || id <= 6; id++) {
    expect(await inference.run(request(`${id}`), { repeat: true })).toMatchObject({ id: `${id}`, outputs: { Y: X } });
  }
  expect(new Set(failing.requests).size).toBe(failing.requests.length);
});

test('a request is repeated once after INTERNAL, and only if it is repeatable', async () => {
  const { address, requests } = await startFailing(Status.INTERNAL);
  const { inference } = clientOf(address);
  const refusal = {
    code: Status.INTERNAL,
    message: `model ${model} on ${address}: onnxruntime: failed to allocate memory`,
  };
  await expect(inference.run(request('repeated'), { repeat: true })).rejects.toMatchObject(refusal);
  await expect(inference.run(request('single'))).rejects.toMatchObject(refusal);
  expect(requests).toEqual(['repeated', 'repeated', 'single']);
});

test('other errors are not repeated', async () => {
  const { address, requests } = await startFailing(Status.RESOURCE_EXHAUSTED);
  const { inference } = clientOf(address);
  const run = inference.run(request('1'), { repeat: true });
  await expect(run).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  expect(requests).toEqual(['1']);
});

test("a stage's request has its level of the queue", async () => {
  const { address, priorities } = await startFailing(Status.INVALID_ARGUMENT);
  const client = clientOf(address);
  const inputs = { X: tensor('bool', [1], Uint8Array.of(1)) };
  const { signal } = new AbortController();
  for (const priority of [1, 0]) {
    await expect(client.infer({ model, inputs, priority, signal })).rejects.toMatchObject({ reason: 'MODEL_UNUSABLE' });
  }
  expect(priorities).toEqual([1n, undefined]);
});
