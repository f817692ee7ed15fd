import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from '@jest/globals';
import { EncodeRequest, TextEncoderServiceDefinition } from '../../../proto/gen/fusionframes/v1/text_encoder.ts';
import { HealthDefinition } from '../../../proto/gen/grpc/health/v1/health.ts';
import { connect } from '../channel.ts';
import { deferred } from '../deferred.ts';
import { FusionError } from '../errors.ts';
import { createLogger } from '../log.ts';
import { type RunningServer, type ServeOptions, serve, service } from '../serve.ts';
import { connectWhileBusy } from '../testing/connect-while-busy.ts';
import { type Admit, admission } from './admission.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

const unauthenticated = 16;
const method = '/fusionframes.v1.TextEncoderService/Encode';
const health = '/grpc.health.v1.Health/';

/** Admits calls with a key; the handler returns the result as the number of tokens. */
const admitKeys: Admit<number> = async ({ metadata }) => {
  if (metadata.get('authorization')[0] !== 'key') {
    throw new FusionError(unauthenticated, 'no key', { reason: 'INVALID_API_KEY' });
  }
  return 7;
};

async function start(options: Partial<ServeOptions> = {}, admit?: Admit): Promise<RunningServer> {
  const encoder = service(
    TextEncoderServiceDefinition,
    { encode: async () => ({ maxTokens: admission<number>() ?? 0 }) },
    admit ? { admit } : {},
  );
  const log = createLogger('test', 'silent');
  const server = await serve({ address: '127.0.0.1:0', services: [encoder], log, drainSeconds: 0, ...options });
  cleanups.push(() => server.stop());
  return server;
}

function session({ address }: RunningServer): ClientHttp2Session {
  const opened = connectHttp2(`http://${address}`).on('error', () => {});
  cleanups.push(() => opened.destroy());
  return opened;
}

/** A call whose message has not been sent yet. */
function call(opened: ClientHttp2Session, path = method, headers: Record<string, string> = {}): ClientHttp2Stream {
  return opened
    .request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers })
    .on('error', () => {});
}

function frame(message: Uint8Array, isCompressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(isCompressed ? 1 : 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The status that a call ends with before its message has come, and its details. */
async function refusal(stream: ClientHttp2Stream): Promise<{ code: number; message: string; details: Buffer }> {
  const [headers] = await once(stream, 'response');
  return {
    code: Number(headers['grpc-status']),
    message: decodeURI(headers['grpc-message']),
    details: Buffer.from(String(headers['grpc-status-details-bin']), 'base64'),
  };
}

test('a caller without a key is rejected by its headers alone, and its stream is closed', async () => {
  const server = await start({}, admitKeys);
  const stream = call(session(server));
  const { code, message, details } = await refusal(stream);
  expect({ code, message }).toEqual({ code: unauthenticated, message: 'no key' });
  expect(String(details)).toContain('INVALID_API_KEY');
  // Although its caller never ends it.
  await once(stream.resume(), 'close');
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
});

test('the handler knows the authenticated caller, and errors have a reason', async () => {
  const server = await start({}, admitKeys);
  const { client, close } = connect(TextEncoderServiceDefinition, server.address, {
    metadata: { authorization: 'key' },
  });
  expect((await client.encode({ prompt: 'x' })).maxTokens).toBe(7);
  close();
  const unknown = connect(TextEncoderServiceDefinition, server.address);
  await expect(unknown.client.encode({ prompt: 'x' })).rejects.toMatchObject({ reason: 'INVALID_API_KEY' });
  unknown.close();
});

test('a call whose message does not arrive is ended', async () => {
  const server = await start({ bounds: { messageSeconds: 0.1 } });
  const opened = session(server);
  const silent = call(opened);
  const slow = call(opened);
  slow.write(frame(EncodeRequest.encode(EncodeRequest.fromPartial({ prompt: 'x' })).finish()).subarray(0, 6));
  expect(await refusal(silent)).toMatchObject({ code: 4, message: expect.stringContaining('within 0.1 seconds') });
  expect(await refusal(slow)).toMatchObject({ code: 4 });
});

test('calls without a message are limited per address and in total, and probes are still answered', async () => {
  const ofAddress = await start({ bounds: { pendingCallsPerAddress: 2 } });
  const first = session(ofAddress);
  const held = [call(first), call(first)];
  expect(await refusal(call(first))).toMatchObject({ code: 8, message: expect.stringContaining('127.0.0.1') });
  held[0]!.close();
  await once(held[0]!, 'close');

  const inAll = await start({ bounds: { openCalls: 2 } });
  const second = session(inAll);
  call(second);
  call(second);
  const { code, details } = await refusal(call(second));
  expect(code).toBe(8);
  expect(String(details)).toContain('TOO_MANY_CALLS');
  const { client, close } = connect(HealthDefinition, inAll.address);
  expect((await client.check({ service: '' })).status).toBe(1);
  close();
});

test('health watches are limited', async () => {
  const server = await start();
  const opened = session(server);
  const watches = Array.from({ length: 64 }, () => {
    const stream = call(opened, `${health}Watch`);
    stream.end(frame(new Uint8Array()));
    return stream;
  });
  await Promise.all(watches.map((stream) => once(stream, 'response')));
  expect(await refusal(call(opened, `${health}Watch`))).toMatchObject({ code: 8 });
  watches[0]!.destroy();
  await once(watches[0]!, 'close');
  const { client, close } = connect(HealthDefinition, server.address);
  expect((await client.check({ service: '' })).status).toBe(1);
  close();
});

test('pending messages are limited in total; a compressed one counts with its maximum size', async () => {
  const server = await start({ maxRequestBytes: 1000, bounds: { pendingBytes: 1500 } });
  const opened = session(server);
  const part = frame(Buffer.alloc(900)).subarray(0, 800);
  const held = call(opened);
  held.write(part);
  const compressed = gzipSync(Buffer.alloc(900));
  const answer = deferred<number>();
  // The first message is there when this one is refused, in whatever order they came.
  const second = call(opened, method, { 'grpc-encoding': 'gzip' });
  second.write(frame(compressed, true).subarray(0, 10));
  for (const stream of [held, second]) {
    refusal(stream).then(({ code }) => answer.resolve(code), answer.reject);
  }
  expect(await answer.promise).toBe(14);
  const { client, close } = connect(TextEncoderServiceDefinition, server.address);
  await expect(client.encode({ prompt: 'x'.repeat(2000) })).rejects.toMatchObject({ codeName: 'RESOURCE_EXHAUSTED' });
  opened.destroy();
  expect(await client.encode({ prompt: 'x' })).toMatchObject({ maxTokens: 0 });
  close();
});

test('one connection takes at most its share of calls', async () => {
  const server = await start();
  const opened = session(server);
  await once(opened, 'remoteSettings');
  expect(opened.remoteSettings.maxConcurrentStreams).toBe(128);
});

test('an address that only opens connections does not lock others out', async () => {
  const server = await start({ connections: { total: 5, perAddress: 3 } });
  const opened = Array.from({ length: 6 }, () => session(server));
  await Promise.all(opened.slice(0, 3).map((each) => once(each, 'close')));
  const { client, close } = connect(TextEncoderServiceDefinition, server.address);
  expect(await client.encode({ prompt: 'x' })).toMatchObject({ maxTokens: 0 });
  close();
});

test('hundreds of clients can connect at once', async () => {
  expect(await connectWhileBusy((await start()).address, 700)).toBe(true);
});
