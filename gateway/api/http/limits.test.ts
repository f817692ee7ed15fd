import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { z } from 'zod';
import { deferred } from '../../../services/kit/deferred.ts';
import { text } from '../../../services/kit/values.ts';
import { eventually } from '../../../test/support/cli.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import { anonymous } from '../../keys/caller.ts';
import { createApp } from './create-app.ts';
import { route } from './route.ts';

/** Requests that wait for {@link release}. */
const release = deferred();
const lines: string[] = [];
let waiting = 0;
const stopping = new AbortController();
let app: FastifyInstance;
let port: number;

beforeAll(async () => {
  const sink = new PassThrough();
  sink.on('data', (line) => lines.push(String(line)));
  app = createApp({
    routes: [
      route(
        {
          method: 'POST',
          path: '/echo/{id}',
          name: 'echo',
          summary: '',
          scope: 'create',
          params: z.strictObject({ id: text().given }),
          query: z.looseObject({}),
          body: z.strictObject({ prompt: text().given }),
          answers: {},
        },
        async ({ body }) => ({ length: body.prompt.length }),
      ),
      route({ method: 'GET', path: '/wait', name: 'wait', summary: '', answers: {} }, async () => {
        waiting++;
        await release.promise;
        return {};
      }),
      route({ method: 'GET', path: '/fail', name: 'fail', summary: '', answers: {} }, async () => {
        throw new Error('the password is swordfish');
      }),
    ],
    log: pino({ level: 'debug' }, sink),
    keys: { authenticate: async () => anonymous } as unknown as ApiKeys,
    maxConcurrentCalls: 3,
    stopping: stopping.signal,
    requestSeconds: 1,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as { port: number }).port;
});

afterAll(async () => {
  release.resolve();
  await app.close();
});

async function open(text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function everything(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

const head = 'POST /echo/7?api-version=secret HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';

describe('pipelined requests', () => {
  const request = 'GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n';

  test('release their places when the connection closes', async () => {
    for (let round = 1; round <= 3; round++) {
      const socket = await open(request.repeat(2));
      await eventually(() => waiting === 2 * round);
      socket.destroy();
      await eventually(async () => (await fetch(`http://127.0.0.1:${port}/fail`)).status === 500);
    }
    await eventually(async () => (await fetch(`http://127.0.0.1:${port}/fail`)).status === 500);
  });

  test('are bounded for each connection', async () => {
    expect(await everything(await open(request.repeat(20)))).toBe('');
    await eventually(async () => (await fetch(`http://127.0.0.1:${port}/fail`)).status === 500);
  });
});

describe('a request that takes too long to arrive ends with 408', () => {
  test.each([
    ['headers', 'POST /echo/7 HTTP/1.1\r\nhost: loc'],
    ['a body', `${head}content-length: 100\r\n\r\n{`],
    ['a body in chunks', `${head}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`],
  ])('%s', async (_, text) => {
    const socket = await open(text);
    // A byte now and then does not help.
    const drip = setInterval(() => socket.write(text.includes('chunked') ? '1\r\n \r\n' : ' '), 100);
    const answer = await everything(socket);
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
    expect(answer).toContain('"code":"request_timeout"');
  });
});

test.each([
  ['GET /wait HTTP/1.1\r\n\r\n', 400, 'missing_header', 'Host', 'must have a `Host` header'],
  ['GET /wait HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n', 400, 'duplicate_header', 'Host', 'one `Host` header'],
  ['get /wait HTTP/1.1\r\n\r\n', 400, 'malformed_request', null, 'a method in capitals'],
  ['\x16\x03\x01\x02\x00\x01', 400, 'malformed_request', null, 'this port has no TLS'],
  ['GET wait HTTP/1.1\r\n\r\n', 400, 'malformed_request', null, 'begins with /'],
  ['GET /wait HTTP/1.1\r\na b: c\r\n\r\n', 400, 'malformed_request', null, 'A header must be'],
  [`GET /wait HTTP/1.1\r\na: ${'b'.repeat(17_000)}\r\n\r\n`, 431, 'headers_too_large', null, '16 KiB'],
  [`${head}content-length: x\r\n\r\n`, 400, 'malformed_request', 'Content-Length', 'one number of bytes'],
  [`${head}transfer-encoding: gzip\r\n\r\n`, 400, 'malformed_request', 'Transfer-Encoding', 'must be chunked'],
  [`${head}transfer-encoding: chunked\r\n\r\nzz\r\n`, 400, 'malformed_request', null, 'hexadecimal'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'malformed_request', null, 'HTTP/2'],
  ['CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n', 405, 'method_not_allowed', null, 'not a proxy'],
])('a request broken below the routes gets a JSON error: %j', async (text, status, code, param, message) => {
  const socket = await open(text);
  const answer = everything(socket);
  // Ends also those whose connection would stay open.
  socket.end();
  const [lines = '', body = ''] = (await answer).split('\r\n\r\n');
  expect(lines).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*x-request-id: req_[0-9a-f]{24}`));
  const { error } = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1));
  expect(error).toMatchObject({ type: 'invalid_request_error', code, param });
  expect(error.message).toContain(message);
});

test('HTTP/1.0 needs no Host', async () => {
  const answer = await everything(await open('GET /nowhere HTTP/1.0\r\n\r\n'));
  expect(answer).toMatch(/^HTTP\/1.1 404 /);
});

test('a body that is too large is rejected before it is read', async () => {
  const socket = await open(`${head}content-length: 10000000\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  expect(String(answer)).toMatch(/^HTTP\/1.1 413 /);
});

test('surplus requests are rejected; a reader that leaves frees its slot', async () => {
  const get = () => fetch(`http://127.0.0.1:${port}/wait`);
  const waiting = await open('GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const others = [get(), get()];
  const full = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/echo/7`, { method: 'PUT' });
    return response.status === 429;
  };
  while (!(await full())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  waiting.destroy();
  while (await full()) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  release.resolve();
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200]);
});

test('the log records who requested what and when, but no prompt, key or query', async () => {
  lines.length = 0;
  const response = await fetch(`http://127.0.0.1:${port}/echo/7?api-version=secret`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer hidden' },
    body: JSON.stringify({ prompt: 'a private thing' }),
  });
  expect(await response.json()).toEqual({ length: 15 });
  const failed = await fetch(`http://127.0.0.1:${port}/fail`);
  expect(await failed.json()).toMatchObject({ error: { type: 'server_error', code: 'internal' } });
  expect(failed.status).toBe(500);
  while (lines.length < 3) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const [echo, ...failure] = lines.map((line) => JSON.parse(line));
  expect(echo).toMatchObject({
    method: 'POST',
    route: '/echo/:id',
    status: 200,
    job: '7',
    request: response.headers.get('x-request-id'),
  });
  expect(JSON.stringify(lines)).not.toMatch(/private|secret|hidden/);
  // The cause is for the operator, not for the caller.
  expect(JSON.stringify(failure)).toContain('swordfish');
});

test('a stopping server closes connections after their response', async () => {
  stopping.abort();
  const response = await fetch(`http://127.0.0.1:${port}/wait`);
  expect(response.headers.get('connection')).toBe('close');
});
