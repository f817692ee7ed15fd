import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ALL_FORMATS, BufferSource, BufferTarget, Conversion, Input, Mp4OutputFormat, Output } from 'mediabunny';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { FrameRate, VideoFile } from '../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../services/kit/errors.ts';
import { packageRoot } from '../services/kit/package-root.ts';
import { temporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../services/kit/testing/test-scope.ts';
import { openMp4Sink } from './media/mp4-sink.ts';
import { openWebpSink } from './media/webp-sink.ts';
import { writeFrames } from './media/write-frames.ts';
import { stopTestServer } from './testing/data.ts';
import { discFrames } from './testing/frames.ts';
import { type TestHttp, withHttp } from './testing/http.ts';

const scope = scopeOfAllTests();
const folder = temporaryFolder(scope);
afterAll(stopTestServer);

/** Three frames, twice as wide as high. */
let clip: Buffer;
let animation: Buffer;
let transparent: Buffer;
let single: Buffer;
let long: Buffer;
let white: Buffer;
let black: Buffer;
beforeAll(async () => {
  const make = async (name: string, frames: number) => {
    const format = { width: 256, height: 128, frames, playbackRate: 8 };
    const open = name.endsWith('.webp') ? openWebpSink : openMp4Sink;
    await writeFrames(discFrames(format), format, [() => open(join(folder, name), format)]);
    return readFile(join(folder, name));
  };
  const plain = (background: string) =>
    sharp({ create: { width: 32, height: 32, channels: 3, background } })
      .png()
      .toBuffer();
  clip = await make('clip.mp4', 3);
  animation = await make('clip.webp', 3);
  const pages = [0, 100, 200].map((value) =>
    sharp(Buffer.alloc(128 * 128 * 4, value), { raw: { width: 128, height: 128, channels: 4 } })
      .png()
      .toBuffer(),
  );
  transparent = await sharp(await Promise.all(pages), { join: { animated: true } })
    .webp()
    .toBuffer();
  single = await make('single.mp4', 1);
  long = await make('long.mp4', 16);
  [white, black] = [await plain('#fff'), await plain('#000')];
});

const fields = { prompt: 'a red disc', seed: 7, interpolation_steps: 2, frame_rate: 'medium' };

function form(files: readonly Buffer[], others: object = {}, name = 'keyframes'): FormData {
  const data = new FormData();
  for (const [field, value] of Object.entries({ ...fields, ...others })) {
    data.append(field, String(value));
  }
  for (const file of files) {
    data.append(name, new Blob([new Uint8Array(file)]), 'file');
  }
  return data;
}

const asUrl = (file: Buffer) => `data:application/octet-stream;base64,${file.toString('base64')}`;
const post = (http: TestHttp, body: FormData | object, headers = {}) =>
  http.send('/v1/videos', { method: 'POST', body, headers });
/** Hash of the keyframes of a video over HTTP or gRPC. */
const keyframesOf = (video: { files?: { variant?: string; file?: number; sha256: string }[] }) =>
  video.files?.find(
    ({ variant, file }) => variant === 'input_reference' || file === VideoFile.VIDEO_FILE_INPUT_REFERENCE,
  )?.sha256;

test('a clip or pictures are encoded and interpolated, without text encoder and keyframe network', async () => {
  const runs: string[] = [];
  let failures = 1;
  const hooks = {
    encode: async () => void runs.push('text'),
    keyframes: async (step: number) => void runs.push(`keyframe ${step}`),
    interpolation: async () => {
      if (failures-- > 0) {
        throw new FusionError(Status.UNAVAILABLE, 'the replica is gone');
      }
    },
  };
  await withHttp(
    async (http) => {
      const key = { 'idempotency-key': 'one' };
      const created = await post(http, form([clip]), key);
      expect(created.json).toMatchObject({
        ...{ given_keyframes: 3, frames: 9, seconds: '1.125' },
        warnings: [
          "The clip was cropped to the video's shape: only the central 128x128 of its 256x128 pixels are used",
        ],
      });
      const video = await http.ended(created.json.id);
      expect(video).toMatchObject({ status: 'completed', progress: 100, attempt: 2 });
      expect(video.stages.map(({ stage, step, total }) => [stage, step, total])).toEqual([
        ['keyframes', 3, 3],
        ['interpolation', 2, 2],
        ['decoder', 9, 9],
      ]);
      // The second attempt continued after the recorded keyframes.
      expect(runs).toEqual(['keyframe 1', 'keyframe 2', 'keyframe 3']);
      const strip = await http.send(`/v1/videos/${video.id}/content?variant=input_reference`);
      expect(await sharp(strip.bytes).metadata()).toMatchObject({ width: 128, height: 3 * 128, channels: 3 });

      expect((await post(http, form([clip]), key)).json.id).toBe(video.id);
      expect((await post(http, form([white, black]), key)).json.error.code).toBe('client_id_in_use');
      const two = { files: [white, black], videoId: '' };
      const settings = {
        prompt: 'fade',
        seed: 7n,
        frameRate: FrameRate.FRAME_RATE_MEDIUM,
        interpolation: { steps: 2 },
      };
      const overGrpc = await http.client.createVideo({ settings, keyframes: two });
      const fade = (await http.watch(overGrpc.video!.id)).at(-1)!;
      expect([fade.givenKeyframes, fade.frames]).toEqual([2, 5]);
      const alike: [FormData | object, object][] = [
        [{ ...fields, keyframes: asUrl(clip) }, video],
        [{ ...fields, keyframes: { video_id: video.id } }, video],
        [form([white, black]), fade],
        [form([white, black], {}, 'keyframes[]'), fade],
        [{ ...fields, keyframes: [white, black].map(asUrl) }, fade],
        [{ ...fields, keyframes: { video_id: fade.id } }, fade],
      ];
      for (const [body, like] of alike) {
        const { json } = await post(http, body);
        expect(keyframesOf(json)).toBe(keyframesOf(like));
        await http.send(`/v1/videos/${json.id}`, { method: 'DELETE' });
      }
      const cropped = (width: number) =>
        `The clip was cropped to the video's shape: only the central 128x128 of its ${width}x128 pixels are used`;
      const clips: [Buffer, string][] = [
        [animation, cropped(256)],
        [withWideSamples(clip), cropped(512)],
        [transparent, 'The clip is partly transparent: it was put on white'],
      ];
      for (const [file, warning] of clips) {
        const { json } = await post(http, form([file]));
        expect([json.given_keyframes, json.warnings]).toEqual([3, [warning]]);
        await http.send(`/v1/videos/${json.id}`, { method: 'DELETE' });
      }
      const finish = await http.send(`/v1/videos/${video.id}/finish`, { method: 'POST', body: { frame_rate: 'low' } });
      const finished = await http.ended(finish.json.id);
      expect(finished).toMatchObject({ given_keyframes: 3, frames: 3, remixed_from_video_id: video.id });
    },
    { hooks },
  );
});

/** A clip whose index says that its samples are twice as wide as high. */
function withWideSamples(mp4: Buffer): Buffer {
  const file = Buffer.from(mp4);
  const box = file.indexOf('colr');
  file.write('pasp', box, 'latin1');
  file.writeUInt32BE(2, box + 4);
  file.writeUInt32BE(1, box + 8);
  return file;
}

/** A file of a few kilobytes whose index says that it has four billion frames. */
async function bomb(): Promise<Buffer> {
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: 'fragmented' }), target: new BufferTarget() });
  const input = new Input({ source: new BufferSource(clip), formats: ALL_FORMATS });
  await (await Conversion.init({ input, output })).execute();
  const file = Buffer.from(output.target.buffer!);
  const run = file.indexOf('trun') + 'trun'.length;
  // No frame has a size of its own: nothing is read for it.
  file.writeUInt32BE(1, run);
  file.writeUInt32BE(0xffffffff, run + 4);
  return file;
}

test('files that give no keyframes are refused, and nothing is kept', async () => {
  let hasEncoder: Promise<boolean> | boolean = true;
  await withHttp(
    async (http) => {
      const broken = Buffer.from(clip).fill(7, 40, 400);
      const cut = clip.subarray(0, clip.length - 200);
      // Its index and its first frame say 64x64.
      const growing = await readFile(join(packageRoot, 'test/fixtures/clips/grows-to-8192x8192.mp4'));
      const refused: [FormData | object, RegExp][] = [
        [form([white]), /clip, or 2 or more pictures \(got a single PNG picture\)/],
        [form([Buffer.from('GIF89a')]), /clip, or 2 or more pictures \(got "GIF"\)/],
        [form([Buffer.alloc(0)]), /clip, or 2 or more pictures \(got an empty file\)/],
        [form([single]), /2 or more frames, at most as many as the model has keyframes \(got a clip of 1 frame\)/],
        [form([long]), /`keyframes` must be 2 to 15 frames, as many as nano has keyframes \(got 16\)/],
        [form(Array(16).fill(white)), /2 to 15 frames.*\(got 16\)/],
        [form([broken]), /the file cannot be read/],
        [form([cut]), /the file cannot be read|that can be decoded/],
        [form([Buffer.from('#EXTM3U\n#EXTINF:1,\na.ts\n')]), /the file cannot be read \(it is of another kind\)/],
        [form([await bomb()]), /within 20 seconds and 1024 MiB of memory: it took more memory/],
        [form([growing]), /it took more memory|a frame has 8192x8192 pixels, more than 40000000/],
        [form([white, Buffer.from('nonsense')]), /^Picture 2 of `keyframes` must be a PNG, JPEG, WebP or AVIF picture/],
        [form([white, white.subarray(0, 60)]), /^Picture 2 of `keyframes` must be a readable picture/],
        [form([Buffer.alloc(7 << 20), Buffer.alloc(7 << 20)]), /at most 12582912 bytes/],
        [
          form([white, black], { input_reference: asUrl(white) }),
          /`keyframes` and `input_reference` cannot be combined/,
        ],
        [{ ...fields, keyframes: 'https://example.org/clip.mp4' }, /other URLs are not fetched/],
        [{ ...fields, keyframes: [] }, /2 or more frames/],
      ];
      for (const [body, message] of refused) {
        const { status, json } = await post(http, body);
        expect([status, json.error.param, json.error.message]).toEqual([
          400,
          'keyframes',
          expect.stringMatching(message),
        ]);
      }
      const missing = await post(http, { ...fields, keyframes: { video_id: 'video_0' } });
      expect([missing.status, missing.json.error.param]).toEqual([404, 'keyframes.video_id']);
      hasEncoder = false;
      const unbuilt = await post(http, form([white, black]));
      expect([unbuilt.status, unbuilt.json.error.param]).toEqual([400, 'keyframes']);
      expect(unbuilt.json.error.message).toMatch(
        /nano was built without \w+_encoder \(`fusionframes models build nano.*` builds it\)/,
      );
      expect((await http.send('/v1/videos')).json.data).toEqual([]);
      expect(await http.data.database.sql`select from pictures`).toEqual([]);
      // A silent stage is as one that has no replica: the video waits.
      hasEncoder = new Promise(() => {});
      expect((await post(http, form([white, black]))).status).toBe(200);
    },
    { hooks: { encoder: () => hasEncoder } },
  );
});
