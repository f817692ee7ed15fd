import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { expect, jest, test } from '@jest/globals';
import { createChannel, createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import {
  ServerReflectionDefinition,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '../../proto/gen/grpc/reflection/v1/reflection.ts';
import { type ConnectOptions, connect, repeatable } from './channel.ts';
import { deferred } from './deferred.ts';
import { FusionError, invalidField } from './errors.ts';
import { createLogger } from './log.ts';
import { type RunningServer, type ServeOptions, type Service, serve, service } from './serve.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';

const log = createLogger('test', 'silent');
const scope = scopeOfEachTest();

async function start(services: Service[], options: Partial<ServeOptions> = {}): Promise<RunningServer> {
  const server = await serve({ address: '127.0.0.1:0', services, log, ...options });
  scope.add(server);
  return server;
}

function encoder(encode: (signal: AbortSignal, prompt: string) => Promise<void>): Service {
  return service(TextEncoderServiceDefinition, {
    async encode(request, context) {
      await encode(context.signal, request.prompt);
      return { maxTokens: 7 };
    },
  });
}

function encoderClient(address: string, options: ConnectOptions = {}) {
  const connection = connect(TextEncoderServiceDefinition, address, options);
  scope.add(connection);
  return connection.client;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
  });
}

test('an error keeps its code, reason, field and sentence across the wire', async () => {
  const server = await start([
    encoder(async (_, prompt) => {
      throw invalidField('prompt', prompt, 'at least one word');
    }),
  ]);
  const error = await encoderClient(server.address)
    .encode({ prompt: ' ' })
    .catch((thrown) => thrown);
  expect(error).toBeInstanceOf(FusionError);
  expect(error).toMatchObject({
    code: Status.INVALID_ARGUMENT,
    reason: 'INVALID_FIELD',
    field: 'prompt',
    message: '`prompt` must be at least one word (got " ")',
  });
});

test.each(['x', 'ü', '🎞'])(
  'an error of a million %s is cut, and other calls on the connection go on',
  async (character) => {
    const server = await start([
      encoder(async (_, prompt) => {
        if (prompt === 'bad') {
          const message = character.repeat(1_000_000);
          throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field: message });
        }
        await new Promise((resolve) => setTimeout(resolve, 500));
      }),
    ]);
    const client = encoderClient(server.address);
    const other = client.encode({ prompt: 'good' });
    const error = await client.encode({ prompt: 'bad' }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT, reason: 'INVALID_FIELD' });
    expect(error.message).toMatch(new RegExp(`^${character}{900,2000}\\.\\.\\.$`, 'u'));
    expect(error.field).toMatch(/\.\.\.$/);
    await expect(other).resolves.toMatchObject({ maxTokens: 7 });
  },
);

test('an unreachable server is UNAVAILABLE, naming the service and the address', async () => {
  const error = await encoderClient('127.0.0.1:1')
    .encode({ prompt: 'x' })
    .catch((thrown) => thrown);
  expect(error.code).toBe(Status.UNAVAILABLE);
  expect(error.message).toContain('fusionframes.v1.TextEncoderService/Encode at 127.0.0.1:1');
});

test('a call that breaks off without a status is UNAVAILABLE, and is retried if it is repeatable', async () => {
  let calls = 0;
  const broken = createServer();
  broken.on('stream', (stream) => {
    calls++;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.end();
  });
  broken.listen(0, '127.0.0.1');
  scope.add(broken);
  await once(broken, 'listening');
  const client = encoderClient(`127.0.0.1:${(broken.address() as AddressInfo).port}`);
  await expect(client.encode({ prompt: 'x' })).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    message: expect.stringContaining('the call was interrupted'),
  });
  expect(calls).toBe(1);
  const repeated = client.encode({ prompt: 'x' }, { ...repeatable, retryBaseDelayMs: 1, retryMaxAttempts: 2 });
  await expect(repeated).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  expect(calls).toBe(4);
});

test('a repeatable call to a server that stays away says how often it was tried', async () => {
  const error = await encoderClient('127.0.0.1:1')
    .encode({ prompt: 'x' }, { ...repeatable, retryBaseDelayMs: 1, retryMaxAttempts: 2 })
    .catch((thrown) => thrown);
  expect(error.code).toBe(Status.UNAVAILABLE);
  expect(error.message).toMatch(
    /^fusionframes\.v1\.TextEncoderService\/Encode at 127\.0\.0\.1:1: .* \(after 3 attempts\)$/,
  );
});

test('a repeatable call survives a late start of the server', async () => {
  const first = await start([encoder(async () => {})]);
  const { address } = first;
  await first.stop();
  const answer = encoderClient(address).encode({ prompt: 'x' }, repeatable);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const second = await serve({ address, services: [encoder(async () => {})], log });
  scope.add(second);
  expect((await answer).maxTokens).toBe(7);
});

test('a cancelled call aborts the handler', async () => {
  const aborted = deferred();
  const entered = deferred();
  const server = await start([
    encoder(async (signal) => {
      signal.addEventListener('abort', () => aborted.resolve());
      entered.resolve();
      await untilAborted(signal);
    }),
  ]);
  const cancel = new AbortController();
  const answer = encoderClient(server.address).encode({ prompt: 'x' }, { signal: cancel.signal });
  await entered.promise;
  cancel.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await aborted.promise;
});

test('an endless call is ended by the server', async () => {
  const server = await start([encoder(untilAborted)], { callTimeoutSeconds: 0.05 });
  await expect(encoderClient(server.address).encode({ prompt: 'x' })).rejects.toMatchObject({
    code: Status.DEADLINE_EXCEEDED,
  });
});

test('a call above the limit is rejected immediately, and the next one is served', async () => {
  const release = deferred();
  const entered = deferred();
  const server = await start(
    [
      encoder(async () => {
        entered.resolve();
        await release.promise;
      }),
    ],
    { maxConcurrentCalls: 1 },
  );
  const client = encoderClient(server.address);
  const first = client.encode({ prompt: 'x' });
  await entered.promise;
  await expect(client.encode({ prompt: 'x' })).rejects.toMatchObject({
    code: Status.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_CALLS',
  });
  release.resolve();
  await first;
  expect((await client.encode({ prompt: 'x' })).maxTokens).toBe(7);
});

test('stop lets calls finish, updates health and ends health watches', async () => {
  const release = deferred();
  const entered = deferred();
  const server = await start([
    encoder(async () => {
      entered.resolve();
      await release.promise;
    }),
  ]);
  const channel = createChannel(server.address);
  scope.add(channel);
  const statuses: number[] = [];
  const watched = deferred();
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const watch = async () => {
    for await (const { status } of createClient(HealthDefinition, channel).watch({ service: '' })) {
      if (statuses.push(status) === 12) {
        watched.resolve();
      }
    }
  };
  // More than the listeners that Node finds suspicious.
  const watching = Promise.allSettled(Array.from({ length: 12 }, watch));
  const answer = encoderClient(server.address).encode({ prompt: 'x' });
  await entered.promise;
  await watched.promise;
  const stopped = server.stop();
  release.resolve();
  expect((await answer).maxTokens).toBe(7);
  await stopped;
  await watching;
  expect(statuses[0]).toBe(1);
  expect(warn).not.toHaveBeenCalled();
});

test('stop cancels what outlasts the drain', async () => {
  const entered = deferred();
  const server = await start(
    [
      encoder((signal) => {
        entered.resolve();
        return untilAborted(signal);
      }),
    ],
    { drainSeconds: 0.05 },
  );
  const answer = encoderClient(server.address)
    .encode({ prompt: 'x' })
    .catch((thrown) => thrown);
  await entered.promise;
  await server.stop();
  expect((await answer).code).toBe(Status.CANCELLED);
});

test('an address in use is a clear error', async () => {
  const server = await start([encoder(async () => {})]);
  await expect(serve({ address: server.address, services: [], log })).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    field: 'address',
  });
});

test.each(['v1', 'v1alpha'])('reflection %s describes every service, health included', async (version) => {
  const server = await start([encoder(async () => {})]);
  const definition = { ...ServerReflectionDefinition, fullName: `grpc.reflection.${version}.ServerReflection` };
  const { client, close } = connect(definition, server.address);
  scope.defer(close);
  const questions: ServerReflectionRequest['messageRequest'][] = [
    { $case: 'listServices', value: '*' },
    { $case: 'fileContainingSymbol', value: 'grpc.health.v1.Health' },
    { $case: 'fileContainingSymbol', value: 'grpc.health.v1.Health.Watch' },
    { $case: 'fileContainingSymbol', value: 'grpc.health.v1.HealthCheckResponse.ServingStatus' },
    { $case: 'fileContainingSymbol', value: `grpc.reflection.${version}.ServerReflection` },
    { $case: 'fileContainingSymbol', value: `grpc.reflection.${version}.ServerReflection.ServerReflectionInfo` },
    { $case: 'fileContainingSymbol', value: 'inference.ModelInferRequest' },
    { $case: 'fileByFilename', value: 'google/protobuf/timestamp.proto' },
    { $case: 'fileContainingSymbol', value: '.Health' },
    { $case: 'fileByFilename', value: 'health.proto' },
    {
      $case: 'fileContainingExtension',
      value: { containingType: 'fusionframes.v1.VideoSettings', extensionNumber: 100 },
    },
    { $case: 'allExtensionNumbersOfType', value: 'fusionframes.v1.VideoSettings' },
    { $case: 'allExtensionNumbersOfType', value: 'Video' },
    undefined,
  ];
  const requests = questions.map((messageRequest) => ({ host: 'any', messageRequest }));
  const answers: unknown[] = [];
  for await (const { validHost, originalRequest, messageResponse } of client.serverReflectionInfo(
    Readable.from(requests),
  )) {
    expect({ validHost, originalRequest }).toEqual({ validHost: 'any', originalRequest: requests[answers.length] });
    answers.push(readable(messageResponse!));
  }
  expect(answers).toEqual([
    [{ name: 'fusionframes.v1.TextEncoderService' }, { name: 'grpc.health.v1.Health' }],
    'grpc/health/v1/health.proto',
    'grpc/health/v1/health.proto',
    'grpc/health/v1/health.proto',
    `grpc/reflection/${version}/reflection.proto`,
    `grpc/reflection/${version}/reflection.proto`,
    'grpc_service.proto',
    'google/protobuf/timestamp.proto',
    { errorCode: Status.NOT_FOUND, errorMessage: 'Symbol not found: .Health' },
    { errorCode: Status.NOT_FOUND, errorMessage: 'File not found: health.proto' },
    { errorCode: Status.NOT_FOUND, errorMessage: 'Extension not found: fusionframes.v1.VideoSettings(100)' },
    { baseTypeName: 'fusionframes.v1.VideoSettings', extensionNumber: [] },
    { errorCode: Status.NOT_FOUND, errorMessage: 'Type not found: Video' },
    { errorCode: Status.INVALID_ARGUMENT, errorMessage: '`message_request` is required' },
  ]);
});

/** A file as its name, and anything else as it is. */
function readable({ $case, value }: NonNullable<ServerReflectionResponse['messageResponse']>): unknown {
  switch ($case) {
    case 'listServicesResponse':
      return value.service;
    case 'fileDescriptorResponse':
      return value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name).join();
    default:
      return value;
  }
}

test('a method that a server lacks is UNIMPLEMENTED', async () => {
  const server = await start([encoder(async () => {})]);
  const connection = connect(DecoderServiceDefinition, server.address);
  scope.add(connection);
  const frames = connection.client.decode((async function* () {})());
  await expect(frames[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: Status.UNIMPLEMENTED });
});

test.each(['grows old', 'drains'])(
  'a call continues while its server %s, even when it pings the server',
  async (how) => {
    const entered = deferred();
    const server = await start(
      [
        encoder(async () => {
          entered.resolve();
          await new Promise((resolve) => setTimeout(resolve, 1500));
        }),
      ],
      { connectionAgeSeconds: how === 'drains' ? 3600 : 0.3, drainSeconds: 60 },
    );
    const long = encoderClient(server.address, { keepaliveSeconds: 0.5 }).encode({ prompt: 'x' });
    await entered.promise;
    const stopped = how === 'drains' ? server.stop() : undefined;
    await expect(long).resolves.toMatchObject({ maxTokens: 7 });
    await stopped;
  },
);

test('old connections end without failing a call', async () => {
  const server = await start(
    [encoder((_, prompt) => new Promise((resolve) => setTimeout(resolve, prompt === 'long' ? 2000 : 1)))],
    { connectionAgeSeconds: 0.3 },
  );
  const client = encoderClient(server.address);
  const long = client.encode({ prompt: 'long' });
  let isDone = false;
  void long.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await client.encode({ prompt: 'short' });
  }
  await expect(long).resolves.toMatchObject({ maxTokens: 7 });
});
