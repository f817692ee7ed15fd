import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { GRPCInferenceServiceDefinition, ModelInferRequest, ModelInferResponse } from '../../proto/gen/grpc_service.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { serve, service } from './serve.ts';
import { makeTemporaryFolder } from './temporary-folder.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

const scope = scopeOfAllTests();

test('calls with large requests and large answers do not block each other', async () => {
  const copy = async ({ rawInputContents }: ModelInferRequest) =>
    ModelInferResponse.fromPartial({ rawOutputContents: rawInputContents });
  const copier = Object.fromEntries(Object.keys(GRPCInferenceServiceDefinition.methods).map((name) => [name, copy]));
  const server = await serve({
    address: `unix://${join(makeTemporaryFolder(), 'copier.sock')}`,
    services: [service(GRPCInferenceServiceDefinition, copier as never)],
    log: createLogger('test', 'silent'),
  });
  scope.add(server);
  const { client, close } = connect(GRPCInferenceServiceDefinition, server.address, {
    callTimeoutSeconds: 20,
    windowBytes: 4 << 20,
  });
  scope.defer(close);
  const request = ModelInferRequest.fromPartial({ rawInputContents: [new Uint8Array(1 << 20).fill(7)] });
  const answers = await Promise.all(Array.from({ length: 16 }, () => client.modelInfer(request)));
  expect(answers.map(({ rawOutputContents }) => rawOutputContents[0]?.byteLength)).toEqual(Array(16).fill(1 << 20));
});
