import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../testing/data.ts';
import { withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';

afterAll(stopTestServer);

const hooks = { encode: untilAborted };

test('names and values of comparable servers keep their meaning', () =>
  withHttp(
    async (http) => {
      for (const [fields, expected] of [
        [{ num_inference_steps: 7 }, { keyframes: { steps: 7 } }],
        [{ num_inference_steps: 7, steps: 7 }, { keyframes: { steps: 7 } }],
        [{ num_frames: 57 }, { frame_rate: 'medium', frames: 57 }],
        [{ num_frames: '225', fps: 30 }, { frame_rate: 'high' }],
        [{ fps: 2 }, { frame_rate: 'low' }],
        [{ seconds: '7.5' }, { frame_rate: 'low', frames: 15 }],
        [{ seconds: 7.5 }, { frame_rate: 'low' }],
        [{ seconds: 7.5, fps: 30 }, { frame_rate: 'high' }],
        [{ width: 128, height: '128' }, { size: '128x128' }],
        [{ size: '128x128', width: 128 }, { size: '128x128' }],
        [{ seed: -1 }, { seed: expect.stringMatching(/^\d+$/) }],
        [{ seed: '-1' }, { seed: expect.stringMatching(/^\d+$/) }],
        [
          { steps: null, seed: null, size: null, seconds: null, model: null, negative_prompt: null },
          { size: '128x128' },
        ],
        [{ input_reference: null, flow_shift: null, webhook: null, metadata: null, previews: null }, { metadata: {} }],
        [{ extra_body: { seed: 5, steps: null, input_reference: null }, seed: null, steps: 6 }, { seed: '5' }],
        [{ webhook: { url: 'http://192.0.2.1/', secret: 's', events: null, headers: null } }, { size: '128x128' }],
        [{ n: 1, user: 'me', model: 'nano' }, { model: 'nano' }],
        [{ extra_body: { seed: 5, num_inference_steps: 6 } }, { seed: '5', keyframes: { steps: 6 } }],
        [{ extra: { seed: 5 } }, { seed: '5' }],
      ] as const) {
        const { status, json } = await http.send('/v1/videos', {
          method: 'POST',
          body: { prompt: 'a fox', ...fields },
        });
        expect([fields, status, json.error]).toEqual([fields, 200, null]);
        expect(json).toMatchObject(expected);
      }
    },
    { hooks },
  ));

test('unsupported fields are rejected by name', () =>
  withHttp(async (http) => {
    for (const [fields, param, message] of [
      [
        { num_inference_steps: 7, steps: 8 },
        'num_inference_steps',
        '`num_inference_steps` must be the same as `steps`, 8, or absent (got 7)',
      ],
      [
        { num_inference_steps: 0 },
        'num_inference_steps',
        '`num_inference_steps` must be a whole number from 1 to 1000 (got 0)',
      ],
      [
        { num_frames: 81 },
        'num_frames',
        '`num_frames` must be one of 15 (frame rate low), 57 (frame rate medium), 225 (frame rate high) (got 81)',
      ],
      [{ num_frames: 15, fps: 30 }, 'fps', '`fps` must be 2 (frame rate low) (got 30)'],
      [{ width: 56 }, 'width', '`width` must be 128 (got 56)'],
      [{ size: '128x128', height: 64 }, 'height', '`height` must be the same as `size`, 128, or absent (got 64)'],
      [{ n: 0 }, 'n', '`n` must be a whole number from 1 to 100 (got 0)'],
      [{ seed: -2 }, 'seed', expect.stringContaining('(got -2)')],
      [{ prompt: null }, 'prompt', '`prompt` must be 1 to 10000 characters (got null)'],
      [{ extra_body: { seed: 5 }, seed: 5 }, 'seed', '`seed` must be given once'],
      [{ extra_body: 5 }, 'extra_body', '`extra_body` must be an object of further fields'],
      [{ flow_shift: 5 }, 'flow_shift', '`flow_shift` is not a known field'],
      [{ input_reference: 'x' }, 'input_reference', expect.stringContaining('must be a picture file, a data URL')],
    ] as const) {
      const { status, json } = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'a fox', ...fields } });
      expect([fields, status, json.error]).toEqual([fields, 400, expect.objectContaining({ param, message })]);
    }
    const key = await http.send('/v1/videos', {
      method: 'POST',
      headers: { 'idempotency-key': '' },
      body: { prompt: 'x' },
    });
    expect(key).toMatchObject({ status: 400, json: { error: { param: 'Idempotency-Key' } } });
    const long = { 'idempotency-key': 'x'.repeat(129) };
    const refused = await http.send('/v1/videos', { method: 'POST', headers: long, body: { prompt: 'x' } });
    expect(refused.json.error).toMatchObject({
      param: 'Idempotency-Key',
      message: expect.stringMatching(/^`Idempotency-Key` must be/),
    });
  }));

test('queries, paths and preconditions that other clients send', () =>
  withHttp(async (http) => {
    const { id } = await http.make();
    const { files } = await http.ended(id);
    for (const path of ['/v1/videos', `/v1/videos/${id}`, `/v1/videos/${id}/content`]) {
      expect((await http.send(`${path}?api-version=preview`)).status).toBe(200);
    }
    expect((await http.send('/v1/videos?page=2')).json.error).toMatchObject({
      param: 'page',
      message:
        '`page` is not a known field; known: limit, after, order, status, model, metadata[…], created_after, created_before',
    });
    expect((await http.send(`/v1/videos/${id}?x=2`)).json.error.message).toBe('`x` is not a known field; known: none');
    const absent = await http.send(`/v1/videos?after=video_${'0'.repeat(32)}`);
    expect(absent).toMatchObject({
      status: 404,
      json: { error: { param: 'after', message: expect.stringContaining('Job "video_0') } },
    });
    expect((await http.send('/health')).json).toEqual({ status: 'ok' });
    for (const path of ['/v1/videos/sync', '/v1/videos/edits']) {
      expect(await http.send(path, { method: 'POST', body: { prompt: 'x' } })).toMatchObject({
        status: 404,
        json: { error: { code: 'not_supported' } },
      });
    }
    const preview = await http.send(`/v1/videos/${id}/content?variant=preview`);
    expect(preview.json.error).toMatchObject({ param: 'variant', message: expect.not.stringContaining('file') });
    const { sha256 } = files.find(({ variant }) => variant === 'video')!;
    for (const [tag, status] of [
      ['"other"', 412],
      [`W/"${sha256}"`, 412],
      [`"other", "${sha256}"`, 200],
      ['*', 200],
    ] as const) {
      expect((await http.send(`/v1/videos/${id}/content`, { headers: { 'if-match': tag } })).status).toBe(status);
    }
    expect((await http.send(`/v1/videos/${id}`, { method: 'DELETE', headers: { 'if-match': '"x"' } })).status).toBe(
      412,
    );
  }));
