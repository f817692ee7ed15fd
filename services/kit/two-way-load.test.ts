import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { GRPCInferenceServiceDefinition, ModelInferRequest, ModelInferResponse } from '../../proto/gen/grpc_service.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { appendingBytes } from './messages/append-bytes.ts';
import { serve, service } from './serve.ts';
import { makeTemporaryFolder } from './temporary-folder.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

const scope = scopeOfAllTests();
const field = { request: { name: 'rawInputContents', number: 7 }, response: { name: 'rawOutputContents', number: 6 } };

test('calls with large requests and large answers do not block each other', async () => {
  const copy = async ({ rawInputContents }: ModelInferRequest) =>
    ModelInferResponse.fromPartial({ rawOutputContents: rawInputContents });
  const copier = Object.fromEntries(Object.keys(GRPCInferenceServiceDefinition.methods).map((name) => [name, copy]));
  const server = await serve({
    address: `unix://${join(makeTemporaryFolder(), 'copier.sock')}`,
    services: [
      service(
        appendingBytes(GRPCInferenceServiceDefinition, 'modelInfer', 'responseType', field.response),
        copier as never,
      ),
    ],
    log: createLogger('test', 'silent'),
  });
  scope.add(server);
  const { client, close } = connect(
    appendingBytes(GRPCInferenceServiceDefinition, 'modelInfer', 'requestType', field.request),
    server.address,
    {
      callTimeoutSeconds: 20,
      windowBytes: 4 << 20,
    },
  );
  scope.defer(close);
  const request = ModelInferRequest.fromPartial({ rawInputContents: [new Uint8Array(4 << 20).fill(7)] });
  const callAgainAndAgain = async () => {
    for (let calls = 0; calls < 8; calls++) {
      const { rawOutputContents } = await client.modelInfer(request);
      expect(rawOutputContents[0]?.byteLength).toBe(4 << 20);
    }
  };
  await Promise.all(Array.from({ length: 8 }, callAgainAndAgain));
});
