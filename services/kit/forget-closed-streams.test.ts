import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { GRPCInferenceServiceDefinition, ModelInferRequest, ModelInferResponse } from '../../proto/gen/grpc_service.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { serve, service } from './serve.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
const scope = scopeOfAllTests();

test('messages of calls that have ended are freed without marking the whole heap', async () => {
  const size = 128 << 10;
  const answer = async () => ModelInferResponse.fromPartial({ rawOutputContents: [new Uint8Array(size)] });
  const methods = Object.fromEntries(Object.keys(GRPCInferenceServiceDefinition.methods).map((name) => [name, answer]));
  const services = [service(GRPCInferenceServiceDefinition, methods as never)];
  const server = await serve({ address: '127.0.0.1:0', services, log: createLogger('test', 'silent') });
  scope.add(server);
  const { client, close } = connect(GRPCInferenceServiceDefinition, server.address);
  scope.defer(close);
  const call = () => client.modelInfer(ModelInferRequest.fromPartial({ rawInputContents: [new Uint8Array(size)] }));
  const bytes = () => process.memoryUsage().arrayBuffers;
  await call();
  collect();
  const before = bytes();
  const calls = 64;
  for (let n = 0; n < calls; n++) {
    await call();
  }
  await new Promise(setImmediate);
  // An object is freed by the first or the second.
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  expect(bytes() - before).toBeLessThan((calls * size) / 2);
});
