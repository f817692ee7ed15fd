import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import {
  GRPCInferenceServiceDefinition,
  type ModelInferRequest,
  ModelStreamInferResponse,
} from '../../../proto/gen/grpc_service.ts';
import { deferred } from '../../kit/deferred.ts';
import { createLogger } from '../../kit/log.ts';
import { serve, service } from '../../kit/serve.ts';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { tritonTensor } from '../tensors/triton-tensor.ts';
import { startRecordedModels, type TestTriton } from '../testing.ts';
import { TritonClient } from '../triton-client.ts';
import type { InferenceRequest } from './inference-request.ts';
import type { StreamAnswer } from './inference-stream.ts';

const scope = scopeOfEachTest();

let triton: TestTriton;
beforeAll(async () => {
  triton = await startRecordedModels();
});
afterAll(() => triton.stop());

const four = (value: number) => tritonTensor('FP32', [1, 4], new Float32Array(4).fill(value));
const request = (value: number, more: Partial<InferenceRequest> = {}): InferenceRequest => ({
  model: 'addsub',
  inputs: { INPUT0: four(value), INPUT1: four(1) },
  ...more,
});

async function all(answers: AsyncIterable<StreamAnswer>): Promise<StreamAnswer[]> {
  const list: StreamAnswer[] = [];
  for await (const answer of answers) {
    list.push(answer);
  }
  return list;
}

test('every request is answered, with its id and in order', async () => {
  const { client } = triton;
  const answers = await all(client.inference.stream([request(1, { id: 'a' }), request(2), request(3, { id: 'c' })]));
  expect(answers.map(({ id, isFinal }) => [id, isFinal])).toEqual([
    ['a', true],
    ['request-1', true],
    ['c', true],
  ]);
  expect(answers.map(({ result }) => result!.outputs.OUTPUT0!.data[0])).toEqual([2, 3, 4]);
  expect(answers[0]!.result!.parameters).toMatchObject({ triton_final_response: true });
});

test('a failed request is reported and the stream continues', async () => {
  const { client } = triton;
  const [refused, answered] = await all(client.inference.stream([request(1, { model: 'nope' }), request(2)]));
  expect(refused).toMatchObject({ id: 'request-0', isFinal: true });
  expect(refused!.error!.code).toBe(Status.UNKNOWN);
  expect(refused!.error!.message).toContain("Request for unknown model: 'nope' is not found");
  expect(answered!.result!.outputs.OUTPUT0!.data[0]).toBe(3);
});

test('requested outputs are matched to their request', async () => {
  const { client } = triton;
  const requests = [request(1, { outputs: { OUTPUT1: {} } }), request(1, { outputs: { OUTPUT0: {} } })];
  const answers = await all(client.inference.stream(requests));
  expect(answers.map(({ result }) => Object.keys(result!.outputs))).toEqual([['OUTPUT1'], ['OUTPUT0']]);
});

test('a request that cannot be sent ends the stream with its error', async () => {
  const { client } = triton;
  const answers = all(client.inference.stream([request(1), request(2, { priority: -1 })]));
  await expect(answers).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
});

test('an aborted stream is an AbortError', async () => {
  const { client } = triton;
  const abort = new AbortController();
  async function* endless() {
    yield request(1);
    await new Promise(() => {});
  }
  const answers = client.inference.stream(endless(), { signal: abort.signal });
  await answers.next();
  abort.abort();
  await expect(answers.next()).rejects.toMatchObject({ name: 'AbortError' });
});

/** A server with scripted answers to streamed requests, over real gRPC. */
async function startStreams(
  modelStreamInfer: (requests: AsyncIterable<ModelInferRequest>) => AsyncGenerator<ModelStreamInferResponse>,
): Promise<TritonClient> {
  const { modelStreamInfer: method } = GRPCInferenceServiceDefinition.methods;
  const definition = { ...GRPCInferenceServiceDefinition, methods: { modelStreamInfer: method } };
  const server = await serve({
    address: '127.0.0.1:0',
    services: [service(definition, { modelStreamInfer })],
    log: createLogger('test', 'silent'),
    drainSeconds: 0.1,
  });
  const client = new TritonClient({ address: server.address });
  scope.add(server);
  scope.add(client);
  return client;
}

const answerOf = (id: string, isFinal: boolean) =>
  ModelStreamInferResponse.fromPartial({
    inferResponse: {
      id,
      parameters: { triton_final_response: { parameterChoice: { $case: 'boolParam', value: isFinal } } },
    },
  });

test('a model may answer several times and then report its end', async () => {
  const asked: ModelInferRequest[] = [];
  const client = await startStreams(async function* (requests) {
    for await (const { id, ...rest } of requests) {
      asked.push({ id, ...rest });
      yield answerOf(id, false);
      yield answerOf(id, false);
      yield answerOf(id, true);
    }
  });
  const answers = await all(client.inference.stream([request(1, { id: 'x' })]));
  expect(answers.map(({ isFinal }) => isFinal)).toEqual([false, false, true]);
  expect(asked[0]!.parameters.triton_enable_empty_final_response?.parameterChoice?.value).toBe(true);
});

test('requests are taken only within the limit, until answers complete them', async () => {
  const bytes = 32;
  const finish = deferred();
  const client = await startStreams(async function* (requests) {
    const ids: string[] = [];
    for await (const { id } of requests) {
      ids.push(id);
      yield answerOf(id, false);
      if (ids.length === 3) {
        await finish.promise;
        for (const open of ids) {
          yield answerOf(open, true);
        }
      }
      if (ids.length > 3) {
        yield answerOf(id, true);
      }
    }
  });
  let taken = 0;
  async function* counted() {
    for (; taken < 6; ) {
      taken++;
      yield request(taken);
    }
  }
  const answers = client.inference.stream(counted(), { maxBytesInFlight: 3 * bytes });
  for (let count = 0; count < 3; count++) {
    await answers.next();
  }
  await new Promise((resolve) => setImmediate(resolve));
  // The fourth is at hand and waits for room.
  expect(taken).toBeLessThanOrEqual(4);
  finish.resolve();
  const rest = await all(answers);
  expect(taken).toBe(6);
  expect(rest.filter(({ isFinal }) => isFinal)).toHaveLength(6);
});

test('leaving the loop cancels the stream at the server', async () => {
  const ended = deferred();
  const client = await startStreams(async function* (requests) {
    try {
      for await (const { id } of requests) {
        yield answerOf(id, false);
      }
    } finally {
      ended.resolve();
    }
  });
  async function* endless() {
    yield request(1);
    await new Promise(() => {});
  }
  for await (const _ of client.inference.stream(endless())) {
    break;
  }
  await ended.promise;
});
