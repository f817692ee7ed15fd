import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../testing/data.ts';
import { type TestHttp, withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';

afterAll(stopTestServer);

const hooks = { encode: untilAborted };
const type = 'multipart/form-data; boundary=b';
const urlEncoded = 'application/x-www-form-urlencoded';
const part = (head: string, value: string) => `--b\r\n${head}\r\n\r\n${value}\r\n`;
const prompt = part('content-disposition: form-data; name="prompt"', 'a fox');

/** Sends bytes as they are; gives the answers' text when nothing more comes. */
async function raw({ base }: TestHttp, sent: string | Buffer, until = /\r\n\r\n/): Promise<string> {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(sent);
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    if (until.test(text)) {
      break;
    }
  }
  socket.destroy();
  return text;
}

test('forms of every client are read', () =>
  withHttp(
    async (http) => {
      for (const [contentType, body] of [
        [type, `${prompt}--b--\r\n`],
        [type, `${prompt}--b--`],
        [
          type,
          `${part('Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=prompt', 'a fox')}--b--\r\n`,
        ],
        [type, `${part('CONTENT-DISPOSITION:FORM-DATA;NAME="prompt"', 'a fox')}--b--\r\n`],
        [type, `This is a preamble.\r\n${prompt}--b--\r\nThis is an epilogue.`],
        [type, `\r\n${prompt}--b--\r\n`],
        [type, `${prompt.replace('--b\r\n', '--b \t\r\n')}--b-- \r\n`],
        [type, `${prompt}${part('content-disposition: form-data; name="image"; filename=""', '')}--b--\r\n`],
        [type, `${part('content-disposition: form-data; name="_charset_"', 'UTF-8')}${prompt}--b--\r\n`],
        ['Multipart/Form-Data; Boundary="b"', `${prompt}--b--\r\n`],
        ['multipart/form-data ; boundary = b', `${prompt}--b--\r\n`],
        [type, `${prompt}${part('content-disposition: form-data; name="extra[previews]"', 'True')}--b--\r\n`],
        [urlEncoded, 'prompt=a+fox&previews=False'],
        ['application/json', '\ufeff{"prompt":"a fox"}'],
        ['application/json', '{"prompt":"a fox","webhook":null,"negative_prompt":"\\":{\\"a\\":1,\\"a\\":2}"}'],
        [urlEncoded, 'prompt=a+fox&seed=5'],
        [`${urlEncoded}; charset=UTF-8`, 'prompt=a%20fox&extra_body%5Bseed%5D=5'],
        [urlEncoded, 'prompt=a+fox&seed=&webhook[url]=&webhook[secret]=&extra_body=&stream=&size=&negative_prompt'],
        [type, `${prompt}${part('content-disposition: form-data; name="seed"', '')}--b--\r\n`],
        [urlEncoded, 'prompt=a+fox&stream=False&num_videos_per_prompt=1'],
        ['application/json', '{"prompt":"a fox","stream":false,"num_videos_per_prompt":1}'],
        [urlEncoded, 'prompt=a+fox&extra_body=%7B%22seed%22%3A5%7D'],
      ] as const) {
        const { status, json } = await http.send('/v1/videos', {
          method: 'POST',
          headers: { 'content-type': contentType },
          body,
        });
        expect([body, status, json.prompt]).toEqual([body, 200, 'a fox']);
      }
    },
    { hooks },
  ));

test('errors in forms name the field', () =>
  withHttp(async (http) => {
    for (const [contentType, body, param] of [
      [
        type,
        `${prompt}${part('content-disposition: form-data; name="image"; filename="a.png"', 'x')}--b--\r\n`,
        'image',
      ],
      [
        type,
        Buffer.from(`${prompt}${part('content-disposition: form-data; name="seed"', '\xff')}--b--\r\n`, 'latin1'),
        'seed',
      ],
      [
        type,
        `${part('content-disposition: form-data; name="prompt"\r\ncontent-transfer-encoding: base64', 'eA==')}--b--\r\n`,
        'prompt',
      ],
      [urlEncoded, 'prompt=%ff', 'prompt'],
      [urlEncoded, 'prompt=x&prompt=y', 'prompt'],
      [urlEncoded, '=x&prompt=y', null],
      [urlEncoded, '_charset_=latin1&prompt=x', '_charset_'],
      [type, `${prompt}${part('content-disposition: form-data', 'x')}--b--\r\n`, null],
      [type, `${prompt}${part('content-disposition: attachment; name="seed"', '5')}--b--\r\n`, null],
      [`multipart/form-data; boundary=${'b'.repeat(300)}`, prompt, 'Content-Type'],
      [type, prompt, null],
      [urlEncoded, '{"prompt":"x"}', null],
      [urlEncoded, 'prompt=x&extra_body={"seed":1,"seed":2}', 'seed'],
      [urlEncoded, 'prompt=x&previews=yes', 'previews'],
      [urlEncoded, 'prompt=', 'prompt'],
      [urlEncoded, 'prompt=x&webhook[url]=http://a.example/&webhook[secret]=', 'webhook.secret'],
      [urlEncoded, 'prompt=x&unknown=y', 'unknown'],
      ['application/json', '{"prompt":"x","seed":""}', 'seed'],
      ['application/json', '{"prompt":"x","seed":1,"prompt":"y"}', 'prompt'],
      ['application/json', '{"prompt":"x","\\u0070rompt":"x"}', 'prompt'],
      [
        'application/json',
        '{"prompt":"x","webhook":{"url":"http://a.example/","url":"http://b.example/"}}',
        'webhook.url',
      ],
      ['application/json', '{"a":[{"b":{"c":":"},"d":1},{"b":"}"}],"a":2}', 'a'],
    ] as const) {
      const { status, json } = await http.send('/v1/videos', {
        method: 'POST',
        headers: { 'content-type': contentType },
        body,
      });
      expect([String(body), status, json.error.param]).toEqual([String(body), 400, param]);
    }
  }));

test('malformed JSON is reported with its place', () =>
  withHttp(async (http) => {
    const headers = { 'content-type': 'application/json' };
    const { status, json } = await http.send('/v1/videos', {
      method: 'POST',
      headers,
      body: '{"prompt": "x",\n  seed: 1}',
    });
    expect([status, json.error.message]).toEqual([400, 'The body must be valid JSON (line 2, column 3)']);
  }));

test('an empty body counts as no body, whatever its type; deleting cancels', () =>
  withHttp(
    async (http) => {
      for (const contentType of ['application/json', urlEncoded, 'application/octet-stream', 'text/plain']) {
        const headers = { 'content-type': contentType };
        const { id } = await http.make();
        const refused = await http.send(`/v1/videos/${id}/cancel`, { method: 'POST', body: { a: 1 } });
        expect(refused).toMatchObject({ status: 400, json: { error: { param: 'a' } } });
        const cancelled = await http.send(`/v1/videos/${id}/cancel`, { method: 'POST', headers, body: '' });
        expect(cancelled).toMatchObject({ status: 200, json: { error: { code: 'cancelled' } } });
        const other = await http.make();
        expect((await http.send(`/v1/videos/${other.id}`, { method: 'DELETE', headers, body: '' })).status).toBe(200);
        expect((await http.send(`/v1/videos/${other.id}`)).status).toBe(404);
      }
    },
    { hooks },
  ));

test('a malformed content type does not matter without a body, and with one is refused like other types', () =>
  withHttp(
    async (http) => {
      const host = 'host: localhost\r\nconnection: close\r\n';
      for (const contentType of [
        '',
        'foo',
        'text/',
        'application/json, application/json',
        '__proto__',
        'constructor',
      ]) {
        for (const [length, body] of [
          ['content-length: 0', ''],
          ['transfer-encoding: chunked', '0\r\n\r\n'],
        ]) {
          const { id } = await http.make();
          const head = `${host}content-type: ${contentType}\r\n${length}\r\n\r\n${body}`;
          expect(await raw(http, `POST /v1/videos/${id}/cancel HTTP/1.1\r\n${head}`)).toMatch(/^HTTP\/1.1 200 /);
          expect((await http.send(`/v1/videos/${id}`)).json.error.code).toBe('cancelled');
          expect(await raw(http, `DELETE /v1/videos/${id} HTTP/1.1\r\n${head}`)).toMatch(/^HTTP\/1.1 200 /);
        }
        for (const body of ['content-length: 2\r\n\r\n{}', 'transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n']) {
          const head = `POST /v1/videos HTTP/1.1\r\n${host}content-type: ${contentType}\r\n`;
          expect(await raw(http, `${head}${body}`, /\}$/)).toMatch(
            /^HTTP\/1.1 415 [\s\S]*must be one of application\/json, /,
          );
        }
      }
    },
    { hooks },
  ));

test('a body can be rejected by its headers, before it is sent', () =>
  withHttp(async (http) => {
    const line = 'POST /v1/videos HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n';
    const json = `${line}content-type: application/json\r\n`;
    expect(await raw(http, `${json}content-length: 100000000\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 /);
    expect(await raw(http, `${line}content-type: text/plain\r\ncontent-length: 5\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 415 [\s\S]*accept: application\/json/,
    );
    expect(await raw(http, `${json}content-encoding: gzip\r\ncontent-length: 5\r\n\r\n`)).toMatch(/^HTTP\/1.1 415 /);
    expect(await raw(http, `${json}content-length: 5\r\n\r\n`)).toMatch(/^HTTP\/1.1 100 Continue/);
    const rest = 'content-length: 14\r\n\r\n';
    for (const [head, status, param] of [
      [`${json}idempotency-key:\r\n`, 400, 'Idempotency-Key'],
      [`${json}idempotency-key: ${'x'.repeat(129)}\r\n`, 400, 'Idempotency-Key'],
      [`${json}if-match: "x"\r\n`, 412, 'If-Match'],
      [`${line}content-type: multipart/form-data\r\n`, 400, 'Content-Type'],
      [`${json.replace('/v1/videos', '/nowhere')}`, 404, null],
      [`${json.replace('/v1/videos', '/v1/videos/sync')}`, 404, null],
      [`${json.replace('POST', 'PUT')}`, 405, null],
      [`${json.replace('100-continue', '200-ok')}`, 417, 'Expect'],
      [`${json}host: elsewhere\r\n`, 400, 'Host'],
      [`${json}idempotency-key: a\r\nidempotency-key: b\r\n`, 400, 'Idempotency-Key'],
      [`${json}content-type: text/plain\r\n`, 400, 'Content-Type'],
      [`${json}authorization: Bearer a\r\nauthorization: Bearer b\r\n`, 400, 'Authorization'],
    ] as const) {
      const answer = await raw(http, `${head}${rest}`, /\r\n\r\n\{.*\}/);
      const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
      expect([head, answer.slice(9, 12), error.param]).toEqual([head, String(status), param]);
    }
    const chunked = 'transfer-encoding: chunked\r\n\r\n';
    expect(await raw(http, `${json}${chunked}`)).toMatch(/^HTTP\/1.1 100 Continue/);
    expect(await raw(http, `${line}content-type: text/xml\r\n${chunked}`)).toMatch(/^HTTP\/1.1 415 /);
    expect(await raw(http, `${line}content-type: multipart/form-data\r\n${chunked}`)).toMatch(/^HTTP\/1.1 400 /);
    const long = { prompt: 'x'.repeat(600_000) };
    const large = await http.send('/v1/videos/video_1/remix', { method: 'POST', body: long });
    expect(large).toMatchObject({ status: 413, json: { error: { message: 'The body must be at most 524288 bytes' } } });
    const other = await http.send('/v1/videos', {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'x',
    });
    expect(other.json.error.message).toBe(
      'The content type must be one of application/json, multipart/form-data, application/x-www-form-urlencoded (got "text/plain")',
    );
  }));
