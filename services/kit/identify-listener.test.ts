import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect, repeatable } from './channel.ts';
import { identifyListener } from './identify-listener.ts';
import { createLogger } from './log.ts';
import { serve } from './serve.ts';
import { createAuthority } from './testing/certificates.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';

const scope = scopeOfEachTest();

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  scope.add(server);
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a call to an HTTP server says what is listening there', async () => {
  const address = await listen(createHttpServer((_, response) => response.end('hello')));
  const { client } = scope.add(connect(TextEncoderServiceDefinition, address));
  await expect(client.encode({ prompt: 'x' }, { ...repeatable, retryMaxAttempts: 1 })).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    message: `fusionframes.v1.TextEncoderService/Encode at ${address}: no connection: there is an HTTP/1.1 server, not a gRPC server`,
  });
});

test('servers are identified by their first bytes', async () => {
  const ssh = await listen(createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n')));
  expect(await identifyListener(ssh, false)).toBe('a server that says "SSH-2.0-x", not a gRPC server');
  const closing = await listen(createTcpServer((socket) => socket.destroy()));
  expect(await identifyListener(closing, false)).toBeUndefined();
  expect(await identifyListener('127.0.0.1:1', false)).toBeUndefined();
  expect(await identifyListener('unix:///nowhere', false)).toBeUndefined();
  const { certificate: cert, key } = createAuthority().issue('localhost');
  const tls = await listen(createTlsServer({ cert, key }));
  expect(await identifyListener(`dns:///${tls}`, false)).toBe('a server that requires TLS');
  const { address } = scope.add(
    await serve({ address: '127.0.0.1:0', services: [], log: createLogger('test', 'silent') }),
  );
  expect(await identifyListener(address, false)).toBeUndefined();
  expect(await identifyListener(address, true)).toBe('a gRPC server without TLS');
});
