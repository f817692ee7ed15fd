import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../testing/data.ts';
import { bytesInUse } from '../../testing/heap.ts';
import { type TestHttp, withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';
import { mutations, strangeValues } from '../../testing/strange.ts';

afterAll(stopTestServer);

/** Every refusal is the caller's fault, never an internal error, and the server keeps running. */
async function expectRefused(http: TestHttp, path: string, request: Parameters<TestHttp['send']>[1]): Promise<void> {
  const { status, json } = await http.send(path, request);
  expect({ path, status: status >= 400 && status < 500, error: json?.error }).toEqual({
    path,
    status: true,
    error: expect.objectContaining({ code: expect.any(String), message: expect.any(String) }),
  });
}

/** Accepted jobs are never worked on. */
function withIdle(use: (http: TestHttp) => Promise<void>): Promise<void> {
  return withHttp(use, { hooks: { encode: untilAborted } });
}

const jsonType = { 'content-type': 'application/json' };
const boundary = { 'content-type': 'multipart/form-data; boundary=b' };

test('fields of every kind of value', () =>
  withIdle(async (http) => {
    const { json: document } = await http.send('/openapi.json');
    const fields = Object.keys(
      document.paths['/v1/videos'].post.requestBody.content['application/json'].schema.properties,
    );
    expect(fields.length).toBeGreaterThan(15);
    let accepted = 0;
    const post = async (field: string, value: unknown) => {
      const prompt = field === 'prompt' ? '' : '"prompt":"x",';
      const body = `{${prompt}${JSON.stringify(field)}:${JSON.stringify(value)}}`;
      const { status, json } = await http.send('/v1/videos', { method: 'POST', headers: jsonType, body });
      if (status === 200) {
        accepted++;
      } else {
        // 403: `http://0/` and the like are this machine.
        const refusal = { local_webhook: 403, no_such_model: 404 }[json.error.code as string] ?? 400;
        expect([field, value, status]).toEqual([field, value, refusal]);
        expect(json.error.param ?? '').toContain(field);
      }
    };
    for (const field of [...fields, '__proto__', 'constructor', 'toString', '']) {
      // Not all at once: a busy machine would answer 503.
      for (let at = 0; at < strangeValues.length; at += 8) {
        await Promise.all(strangeValues.slice(at, at + 8).map((value) => post(field, value)));
      }
    }
    await Promise.all(
      [...strangeValues, 'whsec_', 'whsec_!'].flatMap((value) => [
        post('webhook', { url: value, secret: 's' }),
        post('webhook', { url: `http://${JSON.stringify(value)}/`, secret: 's' }),
        post('webhook', { url: 'http://x', secret: value }),
      ]),
    );
    expect(accepted).toBeGreaterThan(0);
    const secret = { url: 'http://x', secret: 'whsec_' };
    expect((await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', webhook: secret } })).status).toBe(
      400,
    );
  }));

test('malformed bodies', () =>
  withHttp(async (http) => {
    const part = (name: string, value: string) =>
      `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    for (const [headers, body] of [
      [jsonType, ''],
      [jsonType, '{'],
      [jsonType, '{"prompt":"x"'],
      [jsonType, '[]'],
      [jsonType, 'null'],
      [jsonType, '"x"'],
      [jsonType, '5'],
      [jsonType, `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
      [jsonType, `{"prompt":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
      [jsonType, `{"prompt":"x","webhook":${'{"url":'.repeat(50_000)}1${'}'.repeat(50_000)}}`],
      [jsonType, Buffer.from([0x7b, 0x22, 0x70, 0xff, 0xfe, 0x22, 0x7d])],
      [jsonType, Buffer.from('{"prompt":"\xed\xa0\x80"}', 'latin1')],
      [jsonType, '{"prompt":"\\ud800"}'],
      [jsonType, '{"prompt":"x\\u0000"}'],
      [jsonType, 'x'.repeat(600_000)],
      [{ 'content-type': 'text/plain' }, '{"prompt":"x"}'],
      [{ 'content-type': 'application/x-www-form-urlencoded' }, '{"prompt":"x"}'],
      [{ 'content-type': 'application/x-www-form-urlencoded' }, 'prompt=%ff'],
      [{ 'content-type': 'application/x-www-form-urlencoded' }, 'prompt=x&prompt=y'],
      [{ ...jsonType, 'content-encoding': 'gzip' }, '{"prompt":"x"}'],
      [{ ...jsonType, 'content-encoding': 'gzip' }, gzipSync('{"prompt":"x"}')],
      [{ ...boundary, 'content-encoding': 'br' }, `${part('prompt', 'x')}--b--\r\n`],
      [{ 'content-type': 'application/json; charset=utf-16' }, Buffer.from('{"prompt":"x"}', 'utf16le')],
      [{ 'content-type': 'multipart/form-data' }, part('prompt', 'x')],
      [{ 'content-type': 'multipart/form-data; boundary=' }, part('prompt', 'x')],
      [boundary, ''],
      [boundary, part('prompt', 'x')],
      [boundary, `${part('prompt', 'x').slice(0, 30)}\r\n--b--\r\n`],
      [boundary, '--b\r\n\r\nx\r\n--b--\r\n'],
      [boundary, `${part('prompt', 'x')}--bb\r\nx: y\r\n--b--\r\n`],
      [boundary, '--b'],
      [boundary, `--c\r\n${part('prompt', 'x')}--c--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('prompt', 'y')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('extra[prompt]', 'y')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('__proto__[steps]', '5')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('__proto__', '5')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('prompt[x]', '5')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('a[b][c]', '5')}--b--\r\n`],
      [boundary, `${part('prompt', 'x')}${part('webhook[url][x]', '5')}--b--\r\n`],
      [boundary, `--b\r\ncontent-disposition: form-data; name="prompt"; filename="x"\r\n\r\nx\r\n--b--\r\n`],
      [boundary, Buffer.from(`${part('prompt', '\xff\xfe')}--b--\r\n`, 'latin1')],
      [boundary, `${part('prompt', 'x')}${'--b\r\n'.repeat(50_000)}--b--\r\n`],
      [boundary, `${part('x', 'y').repeat(7000)}--b--\r\n`],
    ] as const) {
      await expectRefused(http, '/v1/videos', { method: 'POST', headers, body });
    }
    expect((await http.send('/v1/videos')).json.data).toEqual([]);
  }));

test('paths to elsewhere', () =>
  withHttp(async (http) => {
    const tricks = [
      '..%2f..%2fetc%2fpasswd',
      '%2e%2e',
      '..;',
      '%00',
      '%ff',
      '%',
      '%zz',
      'video_%00',
      "'; drop table jobs; --",
      '*',
      '__proto__',
      'constructor',
      '%F0%9F%A6%8A',
      '.%5c..',
    ];
    for (const trick of tricks) {
      for (const [method, path] of [
        ['GET', `/v1/videos/${trick}`],
        ['DELETE', `/v1/videos/${trick}`],
        ['POST', `/v1/videos/${trick}/cancel`],
        ['GET', `/v1/videos/${trick}/events`],
        ['GET', `/v1/videos/${trick}/content`],
        ['GET', `/v1/videos?after=${trick}`],
      ] as const) {
        await expectRaw(http, `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`, /^HTTP\/1.1 4\d\d /);
      }
    }
    await expectRaw(http, 'GET /../../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n', /^HTTP\/1.1 404 /);
    await expectRaw(http, 'GET //v1/videos HTTP/1.1\r\nhost: localhost\r\n\r\n', /^HTTP\/1.1 404 /);
  }));

test('malformed HTTP', () =>
  withHttp(async (http) => {
    const line = 'POST /v1/videos HTTP/1.1\r\nhost: localhost\r\n';
    for (const [sent, answer] of [
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1.1 400 /],
      ['GET / HTTP/9.9\r\n\r\n', /^HTTP\/1.1 400 /],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1.1 400 /],
      ['GET /healthz HTTP/1.1\r\n\r\n', /^HTTP\/1.1 400 /],
      ['BREW /v1/videos HTTP/1.1\r\nhost: localhost\r\n\r\n', /^HTTP\/1.1 400 /],
      [`${line}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`, /^HTTP\/1.1 400 /],
      [`${line}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, /^HTTP\/1.1 400 /],
      [`${line}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`, /^HTTP\/1.1 400 /],
      [`${line}content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{`, /^HTTP\/1.1 413 /],
      [`${line}x: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
      [`GET /v1/videos?after=${'x'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, /^HTTP\/1.1 431 /],
      [`${line}idempotency-key: \x01\r\n\r\n`, /^HTTP\/1.1 400 /],
    ] as const) {
      await expectRaw(http, sent, answer);
    }
  }));

test('a valid request with bytes changed, a few hundred times', () =>
  withIdle(async (http) => {
    const body = Buffer.from(
      '{"prompt":"a red circle","size":"128x128","steps":3,"seed":"77","webhook":{"url":"http://x/","secret":"s"}}',
    );
    for (const changed of mutations(body, 200)) {
      const { status } = await http.send('/v1/videos', {
        method: 'POST',
        headers: jsonType,
        body: changed,
      });
      if (status !== 200) {
        expect([String(changed), status]).toEqual([String(changed), 400]);
      }
    }
  }));

test('many requests at once: surplus ones get 429, the rest are answered, and no resources leak', () =>
  withHttp(
    async (http) => {
      const ask = async () => (await http.send('/v1/videos')).status;
      await Promise.all(Array.from({ length: 50 }, ask));
      const before = await bytesInUse();
      const statuses: number[] = [];
      for (let round = 0; round < 10; round++) {
        statuses.push(...(await Promise.all(Array.from({ length: 100 }, ask))));
      }
      expect(new Set(statuses)).toEqual(new Set([200, 429]));
      expect((await bytesInUse()) - before).toBeLessThan(10e6);
      expect(await ask()).toBe(200);
    },
    { maxConcurrentCalls: 80 },
  ));

/** Sends bytes as they are and expects an answer, then that the server still serves. */
async function expectRaw(http: TestHttp, sent: string, answer: RegExp): Promise<void> {
  const { hostname, port } = new URL(http.base);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.on('error', () => {});
  socket.write(sent, 'latin1');
  const [first] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
  socket.destroy();
  expect([sent.slice(0, 100), String(first).slice(0, 60)]).toEqual([sent.slice(0, 100), expect.stringMatching(answer)]);
  expect((await fetch(`${http.base}/healthz`)).status).toBe(200);
}
