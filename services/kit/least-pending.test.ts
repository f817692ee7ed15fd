import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect } from './channel.ts';
import { deferred } from './deferred.ts';
import { FusionError } from './errors.ts';
import { createLogger } from './log.ts';
import { serve, service } from './serve.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';

const scope = scopeOfEachTest();

/** A client of two replicas that is connected to both; `called` has the replica of each call. */
async function connectToTwo(onCall: (prompt: string) => Promise<void>) {
  const called: number[] = [];
  const start = async (replica: number) => {
    const encoder = service(TextEncoderServiceDefinition, {
      async encode({ prompt }) {
        called.push(replica);
        await onCall(prompt);
        return { maxTokens: 7 };
      },
    });
    const server = await serve({ address: '127.0.0.1:0', services: [encoder], log: createLogger('test', 'silent') });
    scope.add(server);
    return server.address;
  };
  const addresses = [await start(0), await start(1)];
  const { client } = scope.add(connect(TextEncoderServiceDefinition, `ipv4:${addresses.join(',')}`));
  while (new Set(called).size < 2) {
    await client.encode({ prompt: '' });
  }
  called.length = 0;
  return { client, called };
}

test('while a replica works on a long call, the other gets the next ones', async () => {
  const released = deferred();
  const { client, called } = await connectToTwo((prompt) => (prompt === 'long' ? released.promise : Promise.resolve()));
  const long = client.encode({ prompt: 'long' });
  while (called.length === 0) {
    await new Promise(setImmediate);
  }
  for (let call = 0; call < 8; call++) {
    await client.encode({ prompt: 'short' });
  }
  released.resolve();
  await long;
  const [busy] = called;
  expect(called.slice(1)).toEqual(Array(8).fill(1 - busy!));
});

test('calls at the same time are spread evenly', async () => {
  const released = deferred();
  const { client, called } = await connectToTwo((prompt) => (prompt === 'long' ? released.promise : Promise.resolve()));
  const calls = Array.from({ length: 8 }, () => client.encode({ prompt: 'long' }));
  while (called.length < 8) {
    await new Promise(setImmediate);
  }
  released.resolve();
  await Promise.all(calls);
  expect(called.toSorted()).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
});

test('a replica that fails at once does not attract the next calls', async () => {
  const { client, called } = await connectToTwo(async (prompt) => {
    if (prompt === 'broken') {
      throw new FusionError(Status.INTERNAL, 'failed to allocate memory');
    }
  });
  await expect(client.encode({ prompt: 'broken' })).rejects.toMatchObject({ code: Status.INTERNAL });
  for (let call = 0; call < 8; call++) {
    await client.encode({ prompt: '' });
  }
  const [broken] = called;
  expect(called.slice(1)).toEqual(Array(8).fill(1 - broken!));
});
