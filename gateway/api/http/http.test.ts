import { createHash } from 'node:crypto';
import { afterAll, describe, expect, test } from '@jest/globals';
import { deferred } from '../../../services/kit/deferred.ts';
import { invalidField } from '../../../services/kit/errors.ts';
import { connectWhileBusy } from '../../../services/kit/testing/connect-while-busy.ts';
import { loadPreset } from '../../../services/pipeline/preset.ts';
import { stopTestServer } from '../../testing/data.ts';
import { withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';

const nano = loadPreset('nano');

afterAll(stopTestServer);

const absent = `video_${'0'.repeat(32)}`;

test('probes connect behind hundreds of clients', () =>
  withHttp(async ({ server }) => {
    expect(await connectWhileBusy(server.httpAddress!, 700)).toBe(true);
  }));

describe('a video', () => {
  test('is created from JSON, with defaults filled in', () =>
    withHttp(async (http) => {
      const created = await http.make({ seed: '18446744073709551615', negative_prompt: 'blur', priority: 5 });
      expect(created).toMatchObject({ object: 'video', model: 'nano', status: 'queued', progress: 0, error: null });
      const video = await http.ended(created.id);
      expect(video).toMatchObject({
        id: created.id,
        status: 'completed',
        progress: 100,
        prompt: 'a red circle',
        negative_prompt: 'blur',
        size: '128x128',
        seconds: '7.5',
        frame_rate: 'low',
        frames: 15,
        seed: '18446744073709551615',
        keyframes: { steps: 3, guidance_scale: nano.keyframes.defaults.guidanceScale, sampler: 'dpm-solver++' },
        interpolation: { steps: 2 },
        priority: 5,
        attempt: 1,
        warnings: ['`negative_prompt` has no effect, because `guidance_scale` is 0'],
      });
      expect(video.stages.map(({ stage, step, total }) => [stage, step, total])).toEqual([
        ['text-encoder', 1, 1],
        ['keyframes', 3, 3],
        ['decoder', 15, 15],
      ]);
      for (const { seconds } of video.stages) {
        expect(String(seconds)).toMatch(/^\d+(\.\d{1,3})?$/);
      }
      expect(video.expires_at).toBeGreaterThan(video.completed_at!);
      expect(video.files.map(({ variant }) => variant)).toEqual(['video', 'thumbnail', 'spritesheet', 'storyboard']);
    }));

  test('is created from a form with bracketed names', () =>
    withHttp(async (http) => {
      const form = new FormData();
      const fields = {
        prompt: 'ein Fuchs 🦊',
        steps: '4',
        'extra[seed]': '7',
        seconds: '7.125',
        previews: 'true',
        model: 'nano',
      };
      for (const [name, value] of Object.entries(fields)) {
        form.append(name, value);
      }
      const { status, json } = await http.send('/v1/videos', { method: 'POST', body: form });
      expect(status).toBe(200);
      expect(json).toMatchObject({ prompt: 'ein Fuchs 🦊', seed: '7', frame_rate: 'medium', keyframes: { steps: 4 } });
      expect((await http.ended(json.id)).files.map(({ variant }) => variant)).toContain('storyboard');
    }));

  test('is created once per Idempotency-Key', () =>
    withHttp(async (http) => {
      const key = { 'idempotency-key': 'mine' };
      const first = await http.make({}, key);
      const again = await http.send('/v1/videos', {
        method: 'POST',
        headers: key,
        body: { prompt: 'a red circle', steps: '3', interpolation_steps: 2, frame_rate: 'low' },
      });
      expect(again.json).toMatchObject({ id: first.id, seed: first.seed });
      expect(again.headers.get('idempotent-replayed')).toBe('true');
      const other = await http.send('/v1/videos', { method: 'POST', headers: key, body: { prompt: 'a fox' } });
      expect(other).toMatchObject({
        status: 422,
        json: { error: { type: 'idempotency_error', param: 'Idempotency-Key', code: 'client_id_in_use' } },
      });
    }));

  test('is cancelled, then deleted', () =>
    withHttp(
      async (http) => {
        const { id } = await http.make();
        const cancelled = await http.send(`/v1/videos/${id}/cancel`, { method: 'POST' });
        expect(cancelled.json).toMatchObject({ status: 'failed', error: { code: 'cancelled' } });
        const deleted = await http.send(`/v1/videos/${id}`, { method: 'DELETE' });
        expect(deleted.json).toEqual({ id, object: 'video.deleted', deleted: true });
        expect((await http.send(`/v1/videos/${id}`)).status).toBe(404);
      },
      { hooks: { keyframes: (_, signal) => untilAborted(signal) } },
    ));

  test('reports where and why it failed', () =>
    withHttp(
      async (http) => {
        const { id } = await http.make();
        expect(await http.ended(id)).toMatchObject({
          status: 'failed',
          error: {
            code: 'invalid_field',
            status: 'invalid_argument',
            stage: 'keyframes',
            attempt: 1,
            message: expect.stringContaining('no such colour'),
          },
        });
      },
      {
        hooks: {
          keyframes: async () => {
            throw invalidField('prompt', 'x', 'no such colour');
          },
        },
      },
    ));
});

test('videos are listed in pages, newest or oldest first', () =>
  withHttp(async (http) => {
    expect((await http.send('/v1/videos')).json).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) {
      ids.push((await http.make()).id);
    }
    for (const [order, expected] of [
      ['asc', ids],
      ['desc', [...ids].reverse()],
    ] as const) {
      const seen: string[] = [];
      for (let more = true, after = ''; more; ) {
        const { json } = await http.send(`/v1/videos?limit=2&order=${order}${after && `&after=${after}`}`);
        expect(json.last_id).toBe(json.data.at(-1).id);
        seen.push(...json.data.map(({ id }: { id: string }) => id));
        after = json.last_id;
        more = json.has_more;
      }
      expect(seen).toEqual(expected);
    }
  }));

describe('the content of a video', () => {
  test('is served whole, as a range, or as 304 if the caller has it', () =>
    withHttp(async (http) => {
      const { id } = await http.make();
      const { files } = await http.ended(id);
      for (const { variant, media_type, bytes, sha256 } of files) {
        const path = `/v1/videos/${id}/content?variant=${variant}`;
        const etag = `"${sha256}"`;
        const whole = await http.send(path);
        expect(whole).toMatchObject({ status: 200 });
        expect(whole.headers.get('content-type')).toBe(media_type);
        expect(whole.headers.get('etag')).toBe(etag);
        expect(createHash('sha256').update(whole.bytes).digest('hex')).toBe(sha256);

        const head = await http.send(path, { method: 'HEAD' });
        expect(head.headers.get('content-length')).toBe(String(bytes));
        expect(head.bytes).toHaveLength(0);

        for (const [range, start, end] of [
          ['bytes=0-9', 0, 9],
          ['bytes=5-', 5, bytes - 1],
          ['bytes=-7', bytes - 7, bytes - 1],
          [`bytes=-${bytes + 1}`, 0, bytes - 1],
          [`bytes=3-${bytes + 100}`, 3, bytes - 1],
        ] as const) {
          const part = await http.send(path, { headers: { range, 'if-range': etag } });
          expect(part.status).toBe(206);
          expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end}/${bytes}`);
          expect(part.bytes).toEqual(whole.bytes.subarray(start, end + 1));
        }
        for (const range of ['bytes=0-1,4-5', 'lines=1-2', 'bytes=x', 'bytes=1-2x']) {
          expect((await http.send(path, { headers: { range } })).bytes).toEqual(whole.bytes);
        }
        expect((await http.send(path, { headers: { range: 'bytes=0-3', 'if-range': '"other"' } })).status).toBe(200);
        const beyond = await http.send(path, { headers: { range: `bytes=${bytes}-` } });
        expect(beyond.status).toBe(416);
        expect(beyond.headers.get('content-range')).toBe(`bytes */${bytes}`);
        expect((await http.send(path, { headers: { 'if-none-match': `"x", ${etag}` } })).status).toBe(304);
      }
    }));

  test('is an error when it does not exist yet, or never will', () =>
    withHttp(
      async (http) => {
        const { id } = await http.make();
        expect(await http.send(`/v1/videos/${id}/content`)).toMatchObject({
          status: 400,
          json: { error: { code: 'no_such_file_yet', param: 'variant' } },
        });
        for (const variant of ['', 'VIDEO', '../video', '__proto__', 'video&variant=video']) {
          const answer = await http.send(`/v1/videos/${id}/content?variant=${variant}`);
          expect(answer).toMatchObject({ status: 400, json: { error: { param: 'variant', code: 'invalid_field' } } });
        }
        await http.send(`/v1/videos/${id}/cancel`, { method: 'POST' });
      },
      { hooks: { keyframes: (_, signal) => untilAborted(signal) } },
    ));
});

test('missing, misplaced and mistyped input is reported', () =>
  withHttp(async (http) => {
    for (const [path, method, status, code] of [
      [`/v1/videos/${absent}`, 'GET', 404, 'no_such_job'],
      [`/v1/videos/${absent}/cancel`, 'POST', 404, 'no_such_job'],
      [`/v1/videos/${absent}/events`, 'GET', 404, 'no_such_job'],
      [`/v1/videos/${absent}/content`, 'GET', 404, 'no_such_job'],
      [`/v1/videos?after=${absent}`, 'GET', 404, 'no_such_job'],
      ['/v1/videos?limit=0', 'GET', 400, 'invalid_field'],
      ['/v1/videos?limit=101', 'GET', 400, 'invalid_field'],
      ['/v1/videos?order=up', 'GET', 400, 'invalid_field'],
      ['/v1/videos?page=2', 'GET', 400, 'unknown_field'],
      ['/v1/images', 'GET', 404, 'no_such_path'],
      [`/v1/videos/${absent}`, 'PUT', 405, 'method_not_allowed'],
      ['/v1/videos', 'OPTIONS', 405, 'method_not_allowed'],
      [`/v1/videos/${'x'.repeat(300)}`, 'GET', 414, 'max_param_length'],
      ['/v1/videos/%zz', 'GET', 400, 'bad_url'],
    ] as const) {
      expect([path, await http.send(path, { method })]).toEqual([
        path,
        expect.objectContaining({ status, json: { error: expect.objectContaining({ code }) } }),
      ]);
    }
    for (const [path, message] of [
      [`/v1/videos/${'x'.repeat(300)}`, 'The id in the path must be at most 100 characters'],
      ['/v1/videos/%zz', expect.stringMatching(/^The path must be a valid URL: a percent sign is followed by two/)],
    ] as const) {
      expect((await http.send(path)).json).toMatchObject({ error: { message } });
    }
    for (const [body, param, message] of [
      [{}, 'prompt', '`prompt` must be 1 to 10000 characters (got nothing)'],
      [{ prompt: '' }, 'prompt', '`prompt` must be 1 to 10000 characters (got "")'],
      [{ prompt: 5 }, 'prompt', '`prompt` must be 1 to 10000 characters (got 5)'],
      [{ prompt: 'a\u0000b' }, 'prompt', expect.stringContaining('must not contain NUL')],
      [{ prompt: 'x', size: '56x128' }, 'size', 'The width of `size` must be 128 (got 56)'],
      [{ prompt: 'x', size: '64' }, 'size', '`size` must be width x height in pixels, such as 512x512 (got "64")'],
      [{ prompt: 'x', size: '0x64' }, 'size', '`size` must be width x height in pixels, such as 512x512 (got "0x64")'],
      [{ prompt: 'x', steps: 0 }, 'steps', '`steps` must be a whole number from 1 to 1000 (got 0)'],
      [{ prompt: 'x', steps: 1.5 }, 'steps', '`steps` must be a whole number from 1 to 1000 (got 1.5)'],
      [{ prompt: 'x', seed: 2 ** 53 }, 'seed', expect.stringContaining('quoted in JSON above')],
      [{ prompt: 'x', seed: '18446744073709551616' }, 'seed', expect.stringContaining('0 to 18446744073709551615')],
      [
        { prompt: 'x', seed: -2 },
        'seed',
        '`seed` must be a whole number from 0 to 18446744073709551615, quoted in JSON above 9007199254740991, or -1 for a random one (got -2)',
      ],
      [
        { prompt: 'x', seed: '18446744073709551614', n: 3 },
        'seed',
        '`seed` must be at most 18446744073709551613 for 3 videos, whose seeds count up (got 18446744073709551614)',
      ],
      [
        { prompt: 'x', metadata: { 'a\u202e': 'x\u0000' } },
        'metadata.a\\u202e',
        '`metadata.a\\u202e` must be at most 512 characters in valid Unicode, without control characters (got "x\\u0000")',
      ],
      [
        { prompt: 'x', metadata: { a: 'x'.repeat(513) } },
        'metadata.a',
        expect.stringMatching(/\(got 513 characters\)$/),
      ],
      [{ prompt: 'x', stream: true }, 'stream', '`stream` must be false (got true)'],
      [{ prompt: 'x', stream: 'no' }, 'stream', '`stream` must be false (got "no")'],
      [
        { prompt: 'x', num_videos_per_prompt: 101 },
        'num_videos_per_prompt',
        '`num_videos_per_prompt` must be a whole number from 1 to 100 (got 101)',
      ],
      [
        { prompt: 'x', seconds: '4' },
        'seconds',
        expect.stringContaining('7.5 (frame rate low), 7.125 (frame rate medium)'),
      ],
      [
        { prompt: 'x', seconds: '7.5', frame_rate: 'medium' },
        'seconds',
        '`seconds` must be 7.125 (frame rate medium) (got 7.5)',
      ],
      [{ prompt: 'x', priority: 101 }, 'priority', '`priority` must be a whole number from -100 to 100 (got 101)'],
      [
        { prompt: 'x', deadline: 1_900_000_000_000 },
        'deadline',
        '`deadline` must be a time in whole seconds since 1970, at most 9999999999 (the year 2286) (got 1900000000000)',
      ],
      [{ prompt: 'x', deadline: 1 }, 'deadline', expect.stringMatching(/^`deadline` must be a time in the future/)],
      [
        { prompt: 'x', webhook: 'http://x' },
        'webhook',
        '`webhook` must be an object of url and secret (got "http://x")',
      ],
      [
        { prompt: 'x', webhook: { url: 'ftp://x', secret: 'x' } },
        'webhook.url',
        expect.stringContaining('http or https'),
      ],
      [{ prompt: 'x', sead: 5 }, 'sead', '`sead` is not a known field'],
    ] as [object, string, string][]) {
      expect((await http.send('/v1/videos', { method: 'POST', body })).json).toEqual({
        error: {
          message,
          param,
          type: 'invalid_request_error',
          code: expect.stringMatching(/^(invalid|unknown)_field$/),
        },
      });
    }
    const long = await http.send('/v1/videos', {
      method: 'POST',
      headers: { 'idempotency-key': 'x'.repeat(129) },
      body: { prompt: 'x' },
    });
    expect(long.json.error).toMatchObject({ param: 'Idempotency-Key' });
  }));

test('HEAD is answered like GET, without the body', () =>
  withHttp(async (http) => {
    const { id } = await http.make();
    for (const path of [
      '/healthz',
      '/readyz',
      '/openapi.json',
      '/v1/presets',
      '/v1/models',
      '/v1/videos',
      `/v1/videos/${id}`,
    ]) {
      const { status, bytes } = await http.send(path, { method: 'HEAD' });
      expect([path, status, bytes.length]).toEqual([path, 200, 0]);
    }
    expect((await http.send(`/v1/videos/${absent}`, { method: 'HEAD' })).status).toBe(404);
    expect((await http.send(`/v1/videos/${id}/events`, { method: 'HEAD' })).status).toBe(405);
  }));

test('a full queue says when to retry', async () => {
  const release = deferred();
  await withHttp(
    async (http) => {
      await http.untilRunning((await http.make()).id);
      await http.make();
      const full = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x' } });
      expect(full).toMatchObject({ status: 429, json: { error: { type: 'rate_limit_error', code: 'queue_full' } } });
      expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0);
      release.resolve();
    },
    { hooks: { encode: () => release.promise }, concurrentJobs: 1, maxQueuedJobs: 1 },
  );
});

test('cross-site requests are rejected, and no CORS headers are sent', () =>
  withHttp(async (http) => {
    const { host } = new URL(http.base);
    for (const [headers, status] of [
      [{ origin: 'https://elsewhere.example' }, 403],
      [{ origin: 'null' }, 403],
      [{ origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' }, 403],
      // Behind a proxy that sends its own host.
      [{ origin: 'https://public.example', 'sec-fetch-site': 'same-origin' }, 200],
      [{ origin: `http://${host}` }, 200],
    ] as const) {
      const answer = await http.send('/v1/videos', { headers });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
      expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    }
  }));

test('readiness names unavailable dependencies', () =>
  withHttp(async (http) => {
    expect(await http.send('/readyz')).toMatchObject({ status: 200, json: { status: 'ready' } });
    expect((await http.send('/healthz')).json).toEqual({ status: 'ok' });
    await http.stages.stop();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(await http.send('/readyz')).toMatchObject({
      status: 503,
      json: { status: 'not_ready', checks: { database: 'ok', storage: 'ok', decoder: 'unavailable' } },
    });
    expect((await http.send('/healthz')).status).toBe(200);
  }));
