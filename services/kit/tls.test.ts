import { beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect } from './channel.ts';
import { createLogger } from './log.ts';
import { serve, service } from './serve.ts';
import { type CertifiedKey, createAuthority, type TestAuthority } from './testing/certificates.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';
import type { ClientTls, ServerTls } from './tls.ts';

const log = createLogger('test', 'silent');
const scope = scopeOfEachTest();

let authority: TestAuthority;
let untrusted: TestAuthority;
let server: CertifiedKey;
let client: CertifiedKey;
beforeAll(() => {
  authority = createAuthority();
  untrusted = createAuthority('an untrusted authority');
  server = authority.issue('server', ['inference.test']);
  client = authority.issue('client');
});

/** Serves with `serverTls` and calls it once with `clientTls`. */
async function call(serverTls: ServerTls | undefined, clientTls: ClientTls | undefined): Promise<number> {
  const encode = async () => ({ maxTokens: 7 });
  const services = [service(TextEncoderServiceDefinition, { encode })];
  const running = await serve({ address: '127.0.0.1:0', services, log, tls: serverTls });
  scope.add(running);
  const connection = connect(TextEncoderServiceDefinition, running.address, { tls: clientTls });
  scope.add(connection);
  return (await connection.client.encode({ prompt: 'x' })).maxTokens;
}

const trusting = (): ClientTls => ({ ca: authority.certificate, serverName: 'inference.test' });

describe('TLS', () => {
  test('the server is verified by its certificate', async () => {
    expect(await call(server, trusting())).toBe(7);
  });

  test.each<[string, () => ClientTls | undefined]>([
    ['another authority', () => ({ ...trusting(), ca: untrusted.certificate })],
    ['another name', () => ({ ...trusting(), serverName: 'other.test' })],
    ['no TLS', () => undefined],
  ])('a client that expects %s gets no connection', async (_, tls) => {
    await expect(call(server, tls())).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });

  test('a failed connection reports the reason', async () => {
    const tls = { ...trusting(), serverName: 'other.test' };
    await expect(call(server, tls)).rejects.toThrow('other.test');
  });
});

describe('mutual TLS', () => {
  const mutual = (): ServerTls => ({ ...server, clientCa: authority.certificate });

  test('a client with a certificate of the authority is served', async () => {
    expect(await call(mutual(), { ...trusting(), ...client })).toBe(7);
  });

  test('a client without a certificate is rejected', async () => {
    await expect(call(mutual(), trusting())).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });

  test('a client with an untrusted certificate is rejected', async () => {
    const tls = { ...trusting(), ...untrusted.issue('client') };
    await expect(call(mutual(), tls)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });
});

test.each<[string, () => ClientTls]>([
  ['a certificate without its key', () => ({ certificate: client.certificate })],
  ['a key without its certificate', () => ({ key: client.key })],
  ['a key of another certificate', () => ({ ...client, key: server.key })],
  ['text that is not a certificate', () => ({ ...client, certificate: 'certificate' })],
])('%s is refused', (_, tls) => {
  expect(() => connect(TextEncoderServiceDefinition, '127.0.0.1:1', { tls: tls() })).toThrow(
    expect.objectContaining({ code: Status.INVALID_ARGUMENT, field: expect.stringMatching(/^tls/) }),
  );
});

test('a server does not start with a key of another certificate', async () => {
  const tls = { certificate: server.certificate, key: client.key };
  await expect(serve({ address: '127.0.0.1:0', services: [], log, tls })).rejects.toMatchObject({
    code: Status.INVALID_ARGUMENT,
    field: 'tls',
  });
});
