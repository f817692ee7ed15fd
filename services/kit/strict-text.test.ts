import { expect, test } from '@jest/globals';
import type { CompatServiceDefinition, ServiceImplementation } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { VideoServiceDefinition } from '../../proto/gen/fusionframes/v1/video.ts';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import { ServerReflectionDefinition } from '../../proto/gen/grpc/reflection/v1/reflection.ts';
import { GRPCInferenceServiceDefinition } from '../../proto/gen/grpc_service.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { serve, service } from './serve.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

const scope = scopeOfAllTests();

interface MessageType {
  fromPartial(message: unknown): unknown;
  encode(message: unknown): { finish(): Uint8Array };
}

interface Method {
  requestType: MessageType;
  responseType: MessageType;
  requestStream: boolean;
  responseStream: boolean;
}

const methodsOf = (definition: CompatServiceDefinition) => definition.methods as unknown as Record<string, Method>;

/** A service that records every message it receives. */
function recorder(definition: CompatServiceDefinition, received: unknown[]) {
  const handlers = Object.entries(methodsOf(definition)).map(
    ([name, { requestStream, responseStream, responseType }]) => {
      const receive = async (request: unknown) => {
        for await (const message of requestStream ? (request as AsyncIterable<unknown>) : [request]) {
          received.push(message);
        }
        return responseType.fromPartial({});
      };
      const stream = async function* (request: unknown) {
        yield await receive(request);
      };
      return [name, responseStream ? stream : receive];
    },
  );
  return service(definition, Object.fromEntries(handlers) as ServiceImplementation<CompatServiceDefinition>);
}

/** The definition of a client that sends an invalid byte for every `~`, and then the fields of `later`. */
function careless(definition: CompatServiceDefinition, later: object): CompatServiceDefinition {
  const methods = Object.entries(methodsOf(definition)).map(([name, method]) => {
    const bytesOf = (message: unknown) =>
      method.requestType
        .encode(message)
        .finish()
        .map((byte) => (byte === 0x7e ? 0xff : byte));
    const encode = (message: unknown) => {
      const bytes = Buffer.concat([bytesOf(message), bytesOf(method.requestType.fromPartial(later))]);
      return { finish: () => bytes };
    };
    return [name, { ...method, requestType: { ...method.requestType, encode } }];
  });
  return { ...definition, methods: Object.fromEntries(methods) } as unknown as CompatServiceDefinition;
}

const received: unknown[] = [];
const definitions = [VideoServiceDefinition, TextEncoderServiceDefinition, GRPCInferenceServiceDefinition];
const server = scope.open(() =>
  serve({
    address: '127.0.0.1:0',
    services: definitions.map((definition) => recorder(definition, received)),
    log: createLogger('test', 'silent'),
  }),
);

/** Makes one call with one message, encoded as `request` followed by `later`. */
async function call(
  definition: CompatServiceDefinition,
  method: string,
  request: unknown,
  later: object = {},
): Promise<void> {
  const { requestType, requestStream, responseStream } = methodsOf(definition)[method]!;
  const connection = connect(careless(definition, later), (await server).address);
  const client = connection.client as unknown as Record<string, (request: unknown) => unknown>;
  const message = requestType.fromPartial(request);
  try {
    const answer = client[method]!(
      requestStream
        ? (async function* () {
            yield message;
          })()
        : message,
    );
    for await (const _ of responseStream ? (answer as AsyncIterable<unknown>) : [await answer]) {
      // Until its end.
    }
  } finally {
    connection.close();
  }
}

const reflectionV1Alpha = { ...ServerReflectionDefinition, fullName: 'grpc.reflection.v1alpha.ServerReflection' };
const tensor = { name: 'X', datatype: 'FP32', shape: [1n] };

test.each<[CompatServiceDefinition, string, object, string]>([
  [TextEncoderServiceDefinition, 'encode', { prompt: 'a red ~ circle' }, 'prompt'],
  [TextEncoderServiceDefinition, 'encode', { prompt: 'a red circle', negativePrompt: '~' }, 'negative_prompt'],
  [VideoServiceDefinition, 'createVideo', { settings: { prompt: '~' } }, 'prompt'],
  [VideoServiceDefinition, 'createVideo', { settings: { prompt: 'x', negativePrompt: '~' } }, 'negative_prompt'],
  [VideoServiceDefinition, 'createVideo', { clientId: 'mine~' }, 'client_id'],
  [VideoServiceDefinition, 'createVideo', { webhook: { url: 'http://~' } }, 'webhook.url'],
  [VideoServiceDefinition, 'createVideo', { webhook: { url: 'http://x', secret: '~' } }, 'webhook.secret'],
  [VideoServiceDefinition, 'getVideo', { id: '~' }, 'id'],
  [VideoServiceDefinition, 'listVideos', { pageToken: '~' }, 'page_token'],
  [VideoServiceDefinition, 'watchVideo', { id: 'x', resumeToken: '1~' }, 'resume_token'],
  [GRPCInferenceServiceDefinition, 'modelReady', { name: '~' }, 'name'],
  [GRPCInferenceServiceDefinition, 'modelInfer', { inputs: [tensor, { ...tensor, name: '~' }] }, 'inputs.name'],
  [GRPCInferenceServiceDefinition, 'modelInfer', { parameters: { '~': {} } }, 'parameters'],
  [
    GRPCInferenceServiceDefinition,
    'modelInfer',
    { parameters: { mode: { parameterChoice: { $case: 'stringParam', value: '~' } } } },
    'parameters.mode.string_param',
  ],
  [GRPCInferenceServiceDefinition, 'modelStreamInfer', { modelName: '~' }, 'model_name'],
  [HealthDefinition, 'check', { service: '~' }, 'service'],
  [HealthDefinition, 'watch', { service: '~' }, 'service'],
  [ServerReflectionDefinition, 'serverReflectionInfo', { host: '~' }, 'host'],
  [
    reflectionV1Alpha,
    'serverReflectionInfo',
    { messageRequest: { $case: 'fileContainingSymbol', value: '~' } },
    'file_containing_symbol',
  ],
])('text that is not UTF-8 is refused: %#', async (definition, method, request, field) => {
  received.length = 0;
  await expect(call(definition, method, request)).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    field,
    message: expect.stringContaining(`\`${field}\` must be text in UTF-8`),
  });
  expect(received).toEqual([]);
});

test('text that is not UTF-8 is refused even if a later value replaces it', async () => {
  received.length = 0;
  const request = { settings: { prompt: '~' } };
  await expect(
    call(VideoServiceDefinition, 'createVideo', request, { settings: { prompt: 'x' } }),
  ).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: expect.stringContaining('All text must be UTF-8'),
  });
  expect(received).toEqual([]);
});

test('text in UTF-8 arrives as it was sent, and bytes may be anything', async () => {
  received.length = 0;
  const prompt = '\ufeffein großer 🦊';
  await call(TextEncoderServiceDefinition, 'encode', { prompt });
  const contents = { bytesContents: [Uint8Array.of(0x7e)] };
  await call(GRPCInferenceServiceDefinition, 'modelStreamInfer', { inputs: [{ ...tensor, contents }] });
  expect(received).toMatchObject([{ prompt }, { inputs: [{ contents: { bytesContents: [Buffer.of(0xff)] } }] }]);
});
