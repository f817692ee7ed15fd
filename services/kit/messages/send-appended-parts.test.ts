import { beforeAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import {
  GRPCInferenceServiceDefinition,
  ModelInferRequest,
  ModelInferResponse,
} from '../../../proto/gen/grpc_service.ts';
import { connect } from '../channel.ts';
import { createLogger } from '../log.ts';
import { serve, service } from '../serve.ts';
import { scopeOfAllTests } from '../testing/test-scope.ts';
import { appendingBytes } from './append-bytes.ts';

const scope = scopeOfAllTests();
const field = { request: { name: 'rawInputContents', number: 7 }, response: { name: 'rawOutputContents', number: 6 } };
const limit = 1 << 20;
let client: ReturnType<typeof connect<GRPCInferenceServiceDefinition>>['client'];

/** Answers with as many copies of the contents as its request's version says. */
const copy = async ({ modelVersion, rawInputContents }: ModelInferRequest) =>
  ModelInferResponse.fromPartial({
    rawOutputContents: Array.from({ length: Number(modelVersion) }, () => rawInputContents).flat(),
  });
const { methods } = GRPCInferenceServiceDefinition;
const copier = Object.fromEntries(Object.keys(methods).map((name) => [name, copy])) as never;

beforeAll(async () => {
  const definition = GRPCInferenceServiceDefinition;
  const server = await serve({
    address: '127.0.0.1:0',
    services: [service(appendingBytes(definition, 'modelInfer', 'responseType', field.response), copier)],
    log: createLogger('test', 'silent'),
    maxMessageBytes: limit,
  });
  scope.add(server);
  const connection = connect(appendingBytes(definition, 'modelInfer', 'requestType', field.request), server.address, {
    maxMessageBytes: limit,
  });
  scope.add(connection);
  client = connection.client;
});

function call(copies: number, sizes: readonly number[]) {
  const rawInputContents = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
  const request = ModelInferRequest.fromPartial({ modelVersion: String(copies), rawInputContents });
  return { rawInputContents, answer: client.modelInfer(request) };
}

test('sends contents of any number and size', async () => {
  for (const sizes of [[], [0], [1], [300_001], [5, 0, 250_000, 70_000]]) {
    const { rawInputContents, answer } = call(2, sizes);
    const { rawOutputContents } = await answer;
    const sent = [...rawInputContents, ...rawInputContents];
    expect(rawOutputContents.map(({ byteLength }) => byteLength)).toEqual(sent.map(({ byteLength }) => byteLength));
    expect(Buffer.concat(rawOutputContents).equals(Buffer.concat(sent))).toBe(true);
  }
});

test('counts contents in the limits on messages', async () => {
  await expect(call(1, [limit]).answer).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  await expect(call(2, [limit / 2]).answer).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  expect((await call(1, [limit / 2]).answer).rawOutputContents).toHaveLength(1);
});
