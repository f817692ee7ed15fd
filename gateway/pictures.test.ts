import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { FrameRate } from '../proto/gen/fusionframes/v1/video.ts';
import type { Tensor } from '../services/pipeline/tensor.ts';
import { ApiKeys } from './keys/api-keys.ts';
import { stopTestServer, withData } from './testing/data.ts';
import { startTestGateway, testClient } from './testing/gateway.ts';
import { type TestHttp, withHttp } from './testing/http.ts';
import { pictured, plainPicture, textOnly } from './testing/pictured.ts';
import { startStageDoubles, untilAborted } from './testing/stage-doubles.ts';

afterAll(stopTestServer);

let red: Buffer;
let blue: Buffer;
beforeAll(async () => {
  [red, blue] = await Promise.all([plainPicture('#f00'), plainPicture('#00f')]);
});

const asUrl = (file: Buffer) => `data:image/png;base64,${file.toString('base64')}`;
const fields = {
  prompt: 'a red circle',
  model: 'pictured',
  seed: 7,
  steps: 2,
  interpolation_steps: 2,
  frame_rate: 'low',
};

function form(file: Buffer, others: object = {}): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries({ ...fields, ...others })) {
    data.append(name, String(value));
  }
  data.append('input_reference', new Blob([new Uint8Array(file)]), 'cat.png');
  return data;
}

/**
 * Runs `use` with a gateway for a preset without pictures and one with them; `seen` gets the pictures of the keyframes, `things`
 * the number of things in each call.
 */
function withPictures(
  use: (http: TestHttp, seen: Tensor<'uint8'>[], things: number[]) => Promise<void>,
): Promise<void> {
  const seen: Tensor<'uint8'>[] = [];
  const things: number[] = [];
  const hooks = {
    picture: (picture: Tensor<'uint8'>) => void seen.push(picture),
    things: (count: number) => void things.push(count),
  };
  return withHttp((http) => use(http, seen, things), { presets: [textOnly, pictured], hooks });
}

const videoHash = (video: { files: { variant: string; sha256: string }[] }, variant = 'video') =>
  video.files.find((file) => file.variant === variant)?.sha256;

test('a picture from a form, a data URL or bytes reaches the keyframes; the same picture and seed give the same video', () =>
  withPictures(async (http, seen) => {
    const post = async (body: FormData | object) => (await http.send('/v1/videos', { method: 'POST', body })).json;
    const first = await post(form(red));
    expect(first).toMatchObject({
      status: 'queued',
      warnings: [
        "The picture was cropped to the video's shape: only the central 100x100 of its 200x100 pixels are used",
      ],
      files: [{ variant: 'input_reference', media_type: 'image/png' }],
    });
    const made = await http.ended(first.id);
    expect(made).toMatchObject({ status: 'completed', stages: [{}, { step: 2, total: 2 }, {}] });
    expect(seen[0]!.shape).toEqual([128, 128, 3]);
    expect([...seen[0]!.data.slice(0, 6)]).toEqual([255, 0, 0, 255, 0, 0]);
    const content = await http.send(`/v1/videos/${first.id}/content?variant=input_reference`);
    expect(await sharp(content.bytes).stats()).toMatchObject({ channels: [{ mean: 255 }, { mean: 0 }, { mean: 0 }] });

    const same = await http.ended((await post({ ...fields, input_reference: asUrl(red) })).id);
    const wrapped = await http.ended((await post({ ...fields, input_reference: { image_url: asUrl(red) } })).id);
    const { video } = await http.client.createVideo({
      settings: {
        prompt: 'a red circle',
        seed: 7n,
        frameRate: 1,
        keyframes: { steps: 2 },
        interpolation: { steps: 2 },
      },
      model: 'pictured',
      inputReference: { source: { $case: 'file', value: red } },
    });
    const bytes = await http.ended(video!.id);
    expect([same, wrapped, bytes].map((each) => videoHash(each))).toEqual(Array(3).fill(videoHash(made)));
    const other = await http.ended((await post({ ...fields, input_reference: asUrl(blue) })).id);
    const none = await http.ended((await post(fields)).id);
    expect(new Set([made, other, none].map((each) => videoHash(each))).size).toBe(3);
    expect((await http.send(`/v1/videos/${none.id}/content?variant=input_reference`)).json.error.message).toMatch(
      /created without a picture/,
    );
  }));

test('remix, finish, a frame and the picture of an earlier video; the file goes with the last video that has it', () =>
  withPictures(async (http, seen) => {
    const { data } = http;
    const post = async (path: string, body: object) => (await http.send(path, { method: 'POST', body })).json;
    const first = await http.ended((await post('/v1/videos', { ...fields, n: 1, input_reference: asUrl(red) })).id);
    const pictureOf = (video: { id: string }) =>
      post('/v1/videos', { ...fields, input_reference: { video_id: video.id } });
    const others = [
      await post(`/v1/videos/${first.id}/remix`, { prompt: 'a blue square' }),
      await post(`/v1/videos/${first.id}/finish`, { frame_rate: 'medium' }),
      await pictureOf(first),
    ];
    const done = await Promise.all(others.map(({ id }) => http.ended(id)));
    expect(new Set([first, ...done].map((video) => videoHash(video, 'input_reference'))).size).toBe(1);
    expect(videoHash(done[2]!)).toBe(videoHash(first));
    expect(await data.database.sql`select id from pictures`).toHaveLength(1);

    const frame = { ...fields, input_reference: { video_id: first.id, frame: '14' } };
    const continued = await http.ended((await post('/v1/videos', frame)).id);
    expect(continued).toMatchObject({ status: 'completed', warnings: [] });
    // Frames of the doubles are plain.
    const shown = (await http.send(`/v1/videos/${first.id}/content?variant=storyboard`)).bytes;
    const { data: pixels, info } = await sharp(shown).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const columns = info.width / 128;
    const [left, top] = [(14 % columns) * 128, Math.floor(14 / columns) * 128];
    const expected = pixels[((top + 64) * info.width + left + 64) * 3]!;
    expect(Math.abs(seen.at(-1)!.data[(64 * 128 + 64) * 3]! - expected)).toBeLessThan(4);

    // Of an animation, and of frames that were kept as they were.
    const webp = await http.ended((await post('/v1/videos', { ...fields, format: 'webp' })).id);
    const settings = {
      ...{ prompt: 'a red circle', seed: 7n, frameRate: FrameRate.FRAME_RATE_LOW, keepFrames: true },
      ...{ keyframes: { steps: 2 }, interpolation: { steps: 2 } },
    };
    const { video: keeping } = await http.client.createVideo({ settings, model: 'pictured' });
    const kept = await http.ended(keeping!.id);
    const plain = await http.ended((await post('/v1/videos', fields)).id);
    const found: number[] = [];
    for (const { id } of [webp, kept, plain]) {
      const next = { ...fields, input_reference: { video_id: id, frame: 11 } };
      const { id: made } = await post('/v1/videos', next);
      const { bytes } = await http.send(`/v1/videos/${made}/content?variant=input_reference`);
      found.push((await sharp(bytes).stats()).channels[0]!.mean);
      await http.send(`/v1/videos/${made}/cancel`, { method: 'POST' });
    }
    expect(Math.max(...found) - Math.min(...found)).toBeLessThan(4);

    for (const { id } of [first, ...others]) {
      await http.send(`/v1/videos/${id}`, { method: 'DELETE' });
    }
    const last = await data.database.sql<{ id: string }[]>`select id from pictures`;
    expect(last).toHaveLength(1 + found.length);
    const isLast = (key: string) => last.some(({ id }) => key.includes(id));
    await data.objectKeys((key) => !key.startsWith('pictures/') || isLast(key));
    expect((await pictureOf(first)).error).toMatchObject({ code: 'no_such_job', param: 'input_reference' });
  }));

test('a repeated request is known by the file; another file under the same key is a conflict', () =>
  withPictures(async (http, _, things) => {
    const headers = { 'idempotency-key': 'k' };
    const post = (file: Buffer) => http.send('/v1/videos', { method: 'POST', body: form(file), headers });
    const first = await post(red);
    const second = await post(red);
    expect(second.json.id).toBe(first.json.id);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(await post(blue)).toMatchObject({ status: 422, json: { error: { param: 'Idempotency-Key' } } });
    const many = await http.send('/v1/videos', { method: 'POST', body: form(blue, { n: 3 }) });
    expect(new Set(many.json.data.map((video: never) => videoHash(video, 'input_reference'))).size).toBe(1);
    expect(await http.data.database.sql`select id from pictures`).toHaveLength(2);

    // Two things are made one by one, those of a picture as well.
    await Promise.all([first.json, ...many.json.data].map(({ id }: { id: string }) => http.ended(id)));
    expect(new Set(things)).toEqual(new Set([0]));
    const prompt = 'a red ring growing and a star falling on black';
    const inPicture = await http.send('/v1/videos', { method: 'POST', body: form(red, { prompt }) });
    await http.ended(inPicture.json.id);
    expect(things.at(-1)).toBe(2);
  }));

describe('a picture that cannot be used', () => {
  test('is one error that names the field, and nothing is kept', () =>
    withPictures(async (http) => {
      const { text: key } = await new ApiKeys(http.data.database.sql).create({
        name: 'other',
        scopes: ['read', 'create'],
        limits: { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 },
      });
      const headers = { authorization: `Bearer ${key}` };
      const own = await http.ended((await http.make({}, headers)).id, headers);
      const { text: third } = await new ApiKeys(http.data.database.sql).create({
        name: 'third',
        scopes: ['read', 'create'],
        limits: { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 },
      });
      const cases: [unknown, RegExp, number?, string?][] = [
        ['', /must be a picture file, a data URL/],
        ['https://example.org/cat.png', /other URLs are not fetched/],
        ['data:image/png;base64,%%%', /a data URL of one in base64/],
        ['data:image/png;base64,', /got an empty file/],
        [asUrl(Buffer.from('no picture at all')), /must be a PNG, JPEG, WebP or AVIF picture/],
        [asUrl(red.subarray(0, 60)), /the PNG file is damaged/],
        [{ video_id: 'video_1' }, /must name one of your videos \("video_1" was not found\)/, 404],
        [
          { video_id: own.id },
          /a frame from 0 to 14: the video was made without a picture/,
          400,
          'input_reference.frame',
        ],
        [{ video_id: own.id, frame: 15 }, /a whole number from 0 to 14/, 400, 'input_reference.frame'],
        [{ video_id: own.id, frame: -1 }, /a whole number from 0/, 400, 'input_reference.frame'],
        [{ file_id: 'x' }, /must be a picture file/],
        [7, /must be a picture file/],
      ];
      const [before] = await http.data.database.sql`select count(*)::int as jobs from jobs`;
      const objects = await http.data.objectKeys((key) => !key.includes('/results/'));
      for (const [reference, message, status = 400, param = 'input_reference'] of cases) {
        const body = { ...fields, input_reference: reference };
        const answer = await http.send('/v1/videos', { method: 'POST', body, headers });
        expect(answer).toMatchObject({ status, json: { error: { param, message: expect.stringMatching(message) } } });
      }
      const body = { ...fields, input_reference: { video_id: own.id, frame: 0 } };
      const foreign = await http.send('/v1/videos', {
        method: 'POST',
        body,
        headers: { authorization: `Bearer ${third}` },
      });
      expect(foreign).toMatchObject({ status: 404, json: { error: { param: 'input_reference' } } });
      const refused = await http.send('/v1/videos', {
        method: 'POST',
        body: form(red, { model: 'text-only' }),
        headers,
      });
      expect(refused).toMatchObject({
        status: 400,
        json: {
          error: {
            param: 'input_reference',
            message: '`input_reference` must be absent: text-only makes videos from text only (got a picture)',
          },
        },
      });
      const batch = { videos: [fields, { ...fields, input_reference: asUrl(red.subarray(0, 60)) }] };
      const inBatch = await http.send('/v1/videos/batch', { method: 'POST', body: batch, headers });
      expect(inBatch).toMatchObject({ status: 400, json: { error: { param: 'videos.1.input_reference' } } });
      expect(await http.data.database.sql`select count(*)::int as jobs from jobs`).toEqual([before]);
      expect(await http.data.database.sql`select from pictures`).toHaveLength(0);
      expect(await http.data.objectKeys()).toEqual(objects);
    }));

  test('is decoded no further when its caller leaves, and makes no video', () =>
    withPictures(async (http) => {
      const file = await sharp({ create: { width: 6000, height: 6000, channels: 3, background: 'red' } })
        .png()
        .toBuffer();
      const request = {
        settings: { prompt: 'a red circle' },
        model: 'pictured',
        inputReference: { source: { $case: 'file', value: file } },
      } as const;
      const abort = new AbortController();
      const creating = http.client.createVideo(request, { signal: abort.signal });
      await new Promise((resolve) => setTimeout(resolve, 20));
      abort.abort();
      await expect(creating).rejects.toMatchObject({ name: 'AbortError' });
      const { id } = (await http.send('/v1/videos', { method: 'POST', body: form(red) })).json;
      expect((await http.send('/v1/videos')).json.data.map((video: { id: string }) => video.id)).toEqual([id]);
    }));

  test('is refused over gRPC, too, also when it is too large', () =>
    withPictures(async ({ client }) => {
      const settings = { prompt: 'a red circle' };
      const create = (value: Uint8Array) =>
        client.createVideo({ settings, model: 'pictured', inputReference: { source: { $case: 'file', value } } });
      const refusal = { code: Status.INVALID_ARGUMENT, field: 'input_reference' };
      await expect(create(new Uint8Array())).rejects.toMatchObject(refusal);
      await expect(create(new Uint8Array((12 << 20) + 1))).rejects.toMatchObject(refusal);
      await expect(client.createVideo({ settings, model: 'pictured', inputReference: {} })).rejects.toMatchObject(
        refusal,
      );
    }));
});

test('a body with a picture may be large, on these routes only; presets say which pictures they take', () =>
  withPictures(async (http) => {
    const large = await sharp({
      create: {
        width: 900,
        height: 900,
        channels: 3,
        background: '#888',
        noise: { type: 'gaussian', mean: 128, sigma: 40 },
      },
    })
      .png()
      .toBuffer();
    expect(large.length).toBeGreaterThan(1 << 20);
    expect((await http.send('/v1/videos', { method: 'POST', body: form(large) })).status).toBe(200);
    const tooLarge = Buffer.alloc((12 << 20) + 1, large);
    expect((await http.send('/v1/videos', { method: 'POST', body: form(tooLarge) })).json.error).toMatchObject({
      param: 'input_reference',
      message: expect.stringMatching(/at most 12582912 bytes/),
    });
    const { id } = await http.make();
    const remix = await http.send(`/v1/videos/${id}/remix`, { method: 'POST', body: form(large) });
    expect(remix).toMatchObject({ status: 413, json: { error: { message: 'The body must be at most 524288 bytes' } } });
    const { json } = await http.send('/v1/presets');
    expect(json.data.map((preset: { input_reference: unknown }) => preset.input_reference)).toEqual([
      null,
      {
        media_types: ['image/png', 'image/jpeg', 'image/webp', 'image/avif'],
        max_bytes: 12582912,
        max_pixels: 40000000,
      },
    ]);
  }));

test('a job whose gateway has stopped still has its picture at the next one', () =>
  withData(async (data) => {
    const seen: Tensor<'uint8'>[] = [];
    let isHeld = true;
    const stages = await startStageDoubles({
      keyframes: (_, signal) => (isHeld ? untilAborted(signal) : Promise.resolve()),
      picture: (picture) => void seen.push(picture),
    });
    const start = () => startTestGateway(data, stages.address, { presets: [pictured], keepResultsHours: 0 });
    const first = await start();
    const client = testClient(first.address);
    const { id } = await client.create({}, '', { inputReference: { source: { $case: 'file', value: red } } });
    await client.untilRunning(id);
    client.close();
    await first.stop();
    isHeld = false;
    const second = await start();
    const successor = testClient(second.address);
    try {
      const last = (await successor.watch(id)).at(-1)!;
      expect(last.failure).toBeUndefined();
      expect(seen.at(-1)!.data.slice(0, 3)).toEqual(Uint8Array.of(255, 0, 0));
    } finally {
      successor.close();
      await second.stop();
      await stages.stop();
    }
  }));
