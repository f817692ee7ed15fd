import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import sharp from 'sharp';
import { Sampler } from '../proto/gen/fusionframes/v1/tensor.ts';
import {
  type DownloadVideoRequest,
  FrameRate,
  JobState,
  Stage,
  VideoFile,
  VideoFormat,
} from '../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../services/kit/deferred.ts';
import { withTemporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { loadPreset } from '../services/pipeline/preset.ts';
import { eventually } from '../test/support/cli.ts';
import { stopTestServer } from './testing/data.ts';
import { decodeMp4 } from './testing/decode-mp4.ts';
import { type TestGateway, withGateway } from './testing/gateway.ts';

afterAll(stopTestServer);

async function download({ client }: TestGateway, request: Partial<DownloadVideoRequest>) {
  const chunks: Uint8Array[] = [];
  let mediaType = '';
  let totalBytes = 0n;
  for await (const message of client.downloadVideo(request)) {
    mediaType ||= message.mediaType;
    totalBytes ||= message.totalBytes;
    chunks.push(message.data);
  }
  const data = Buffer.concat(chunks);
  expect(totalBytes).toBe(BigInt(data.length));
  return { data, mediaType };
}

describe('a prompt becomes a video', () => {
  test.each([
    [FrameRate.FRAME_RATE_LOW, 15, 2, []],
    [FrameRate.FRAME_RATE_UNSPECIFIED, 57, 8, [Stage.STAGE_INTERPOLATION]],
    [FrameRate.FRAME_RATE_HIGH, 225, 30, [Stage.STAGE_INTERPOLATION, Stage.STAGE_INTERPOLATION]],
  ])('frame rate %i: %i frames', (frameRate, frames, playbackRate, interpolations) =>
    withGateway(async (gateway) => {
      const created = await gateway.create({ frameRate, seed: 7n });
      expect(created).toMatchObject({ state: JobState.JOB_STATE_QUEUED, stages: [], warnings: [] });
      const video = (await gateway.watch(created.id)).at(-1)!;
      expect(video).toMatchObject({ id: created.id, state: JobState.JOB_STATE_SUCCEEDED, frames, failure: undefined });
      expect(video.finishedAt!.getTime()).toBeGreaterThanOrEqual(video.createdAt!.getTime());
      expect(video.stages.map(({ stage, step, total }) => [stage, step, total])).toEqual([
        [Stage.STAGE_TEXT_ENCODER, 1, 1],
        [Stage.STAGE_KEYFRAMES, 3, 3],
        ...interpolations.map((stage) => [stage, 2, 2]),
        [Stage.STAGE_DECODER, frames, frames],
      ]);
      const { data, mediaType } = await download(gateway, { id: video.id });
      expect(mediaType).toBe('video/mp4');
      expect(video.files.map(({ file, bytes }) => [file, bytes > 0n])).toEqual([
        [VideoFile.VIDEO_FILE_VIDEO, true],
        [VideoFile.VIDEO_FILE_STORYBOARD, true],
        [VideoFile.VIDEO_FILE_THUMBNAIL, true],
        [VideoFile.VIDEO_FILE_SPRITESHEET, true],
      ]);
      expect(video.files[0]).toMatchObject({
        bytes: BigInt(data.length),
        sha256: createHash('sha256').update(data).digest('hex'),
      });
      const decoded = await withTemporaryFolder(async (folder) => {
        await writeFile(join(folder, 'copy.mp4'), data);
        return decodeMp4(join(folder, 'copy.mp4'));
      });
      expect(decoded).toMatchObject({ codec: 'avc', width: 128, height: 128 });
      expect(decoded.frames).toHaveLength(frames);
      expect(decoded.duration).toBeCloseTo(frames / playbackRate, 3);
      expect(await gateway.data.objectKeys((key) => !key.includes('/results/'))).toEqual(
        ['spritesheet.webp', 'storyboard.png', 'thumbnail.webp', 'video.mp4'].map(
          (name) => `${video.id}/files/1-${name}`,
        ),
      );
    }),
  );

  test('or an animated WebP with its frames, equal for equal seeds', () =>
    withGateway(async (gateway) => {
      const pictures: Buffer[] = [];
      for (const seed of [5n, 5n, 6n]) {
        const { id } = await gateway.create({ format: VideoFormat.VIDEO_FORMAT_WEBP, keepFrames: true, seed });
        const { frames } = (await gateway.watch(id)).at(-1)!;
        const { data, mediaType } = await download(gateway, { id });
        expect(mediaType).toBe('image/webp');
        expect((await sharp(data).metadata()).format).toBe('webp');
        const storyboard = await download(gateway, { id, file: VideoFile.VIDEO_FILE_STORYBOARD });
        expect(await sharp(storyboard.data).metadata()).toMatchObject({ width: 640, height: 384 });
        const last = await download(gateway, { id, file: VideoFile.VIDEO_FILE_FRAME, frame: frames - 1 });
        expect(last.mediaType).toBe('image/png');
        pictures.push(last.data);
      }
      expect(pictures[0]).toEqual(pictures[1]);
      expect(pictures[0]).not.toEqual(pictures[2]);
    }));

  test('the effective settings and all warnings are reported', () =>
    withGateway(
      async (gateway) => {
        const { id } = await gateway.create({ prompt: `${'word '.repeat(28)}großer 🦊`, negativePrompt: ' ' });
        const { settings, warnings } = (await gateway.watch(id)).at(-1)!;
        expect(settings).toMatchObject({
          negativePrompt: '',
          seed: expect.any(BigInt),
          width: 128,
          height: 128,
          frameRate: FrameRate.FRAME_RATE_MEDIUM,
          format: VideoFormat.VIDEO_FORMAT_MP4,
          keyframes: { steps: 3, guidanceScale: loadPreset('nano').keyframes.defaults.guidanceScale },
        });
        expect(warnings).toEqual([
          'The weights are random',
          'The last 6 tokens of the prompt have no effect: the text encoder reads 24',
          'The model does not know these words of the prompt: großer, 🦊',
        ]);
        const overflowing = await gateway.create({
          prompt: 'overflow',
          negativePrompt: 'overflow',
          keyframes: { sampler: Sampler.SAMPLER_UNSPECIFIED, steps: 3, guidanceScale: 1 },
        });
        expect((await gateway.watch(overflowing.id)).at(-1)!.warnings.slice(1)).toEqual([
          'The prompt has no effect: the text encoder overflowed on it',
          'The negative prompt has no effect: the text encoder overflowed on it',
        ]);
      },
      { warnings: ['The weights are random'] },
    ));
});

describe('rejected requests', () => {
  const absent = 'video_00000000000000000000000000000000';

  test('unknown ids', () =>
    withGateway(async ({ client }) => {
      for (const id of ['', 'x', absent, '../../etc/passwd', 'x'.repeat(100_000), '\0']) {
        for (const call of [
          () => client.getVideo({ id }),
          () => client.cancelVideo({ id }),
          () => client.deleteVideo({ id }),
          () => client.watchVideo({ id })[Symbol.asyncIterator]().next(),
          () => client.downloadVideo({ id })[Symbol.asyncIterator]().next(),
        ]) {
          await expect(call()).rejects.toMatchObject({ code: Status.NOT_FOUND, reason: 'NO_SUCH_JOB', field: 'id' });
        }
      }
    }));

  test('invalid settings', () =>
    withGateway(async ({ client }) => {
      await expect(client.createVideo({ settings: { prompt: ' ' } })).rejects.toMatchObject({
        code: Status.INVALID_ARGUMENT,
        field: 'prompt',
        message: '`prompt` must be 1 to 10000 characters (got " ")',
      });
      await expect(client.createVideo({})).rejects.toMatchObject({ field: 'settings' });
      await expect(client.createVideo({ settings: { prompt: 'x' }, clientId: 'x'.repeat(129) })).rejects.toMatchObject({
        field: 'client_id',
      });
    }));

  test('missing files', () =>
    withGateway(async (gateway) => {
      const { id } = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW });
      await gateway.watch(id);
      const tries: [Partial<DownloadVideoRequest>, object][] = [
        [{ file: VideoFile.VIDEO_FILE_FRAME }, { code: Status.FAILED_PRECONDITION, field: 'file' }],
        [{ file: 9 as VideoFile }, { code: Status.INVALID_ARGUMENT, field: 'file' }],
      ];
      for (const [request, error] of tries) {
        await expect(download(gateway, { id, ...request })).rejects.toMatchObject(error);
      }
      const kept = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW, keepFrames: true });
      await gateway.watch(kept.id);
      await expect(
        download(gateway, { id: kept.id, file: VideoFile.VIDEO_FILE_FRAME, frame: 15 }),
      ).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field: 'frame', message: /from 0 to 14/ });
    }));
});

describe('the queue', () => {
  test('is bounded, runs as many jobs as set, and is listed newest first', async () => {
    const release = deferred();
    let running = 0;
    let most = 0;
    const encode = async () => {
      most = Math.max(most, ++running);
      await release.promise;
      running--;
    };
    await withGateway(
      async (gateway) => {
        const ids: string[] = [];
        for (let count = 0; count < 5; count++) {
          const { id } = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW });
          ids.unshift(id);
          if (count < 2) {
            await gateway.untilRunning(id);
          }
        }
        await expect(gateway.create()).rejects.toMatchObject({
          code: Status.RESOURCE_EXHAUSTED,
          reason: 'QUEUE_FULL',
          message: 'The queue is full: 3 jobs wait (limit 3); try again later',
        });

        const first = await gateway.client.listVideos({ pageSize: 3 });
        const second = await gateway.client.listVideos({ pageSize: 3, pageToken: first.nextPageToken });
        expect([...first.videos, ...second.videos].map(({ id }) => id)).toEqual(ids);
        expect(second.nextPageToken).toBe('');
        await expect(gateway.client.listVideos({ pageToken: 'x' })).rejects.toMatchObject({ field: 'page_token' });
        await expect(gateway.client.listVideos({ pageSize: 101 })).rejects.toMatchObject({ field: 'page_size' });

        release.resolve();
        for (const id of ids) {
          expect((await gateway.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
        }
        expect(most).toBe(2);
      },
      { hooks: { encode }, concurrentJobs: 2, maxQueuedJobs: 3 },
    );
  });

  test('a client id makes a request repeatable', () =>
    withGateway(async (gateway) => {
      const first = await gateway.create({ prompt: 'a' }, 'mine');
      const again = await gateway.create({ prompt: 'a' }, 'mine');
      expect(again.id).toBe(first.id);
      expect(again.settings!.seed).toBe(first.settings!.seed);
      await expect(gateway.create({ prompt: 'b' }, 'mine')).rejects.toMatchObject({
        code: Status.ALREADY_EXISTS,
        reason: 'CLIENT_ID_IN_USE',
      });
      expect((await gateway.create({ prompt: 'a' }, 'other')).id).not.toBe(first.id);
      expect((await gateway.create({ prompt: 'a' })).id).not.toBe((await gateway.create({ prompt: 'a' })).id);
    }));

  test('deletes finished jobs on request, and the oldest beyond the limit', () =>
    withGateway(
      async (gateway) => {
        const ids: string[] = [];
        for (let count = 0; count < 3; count++) {
          const { id } = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW });
          await gateway.watch(id);
          ids.push(id);
        }
        const { sql } = gateway.data.database;
        await eventually(async () => (await sql`select 1 from jobs where expires_at is not null`).length > 0);
        const expiring = (await gateway.client.getVideo({ id: ids[0]! })).video!;
        expect(expiring.expiresAt!.getTime()).toBeLessThan(Date.now() + 61_000);
        await sql`update jobs set expires_at = now() where id = ${ids[0]!}`;
        // At the end of a job others are looked for that have expired.
        await gateway.watch((await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW })).id);
        await untilGone(gateway, ids[0]!);
        await gateway.client.deleteVideo({ id: ids[1]! });
        await expect(gateway.client.getVideo({ id: ids[1]! })).rejects.toMatchObject({ code: Status.NOT_FOUND });
        await gateway.data.objectKeys((key) => !key.startsWith(`${ids[0]}/`) && !key.startsWith(`${ids[1]}/`));
      },
      { maxFinishedJobs: 2 },
    ));
});

describe('a watch', () => {
  test('starts with the current state and ends with the final one', () =>
    withGateway(async (gateway) => {
      const { id } = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW });
      const seen = await gateway.watch(id);
      expect(seen.at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
      expect(seen.filter(({ state }) => state === JobState.JOB_STATE_SUCCEEDED)).toHaveLength(1);
      const late = await gateway.watch(id);
      expect(late).toEqual([seen.at(-1)]);
    }));

  test('that is abandoned does not affect the job', () =>
    withGateway(async (gateway) => {
      const { id } = await gateway.create();
      for await (const { video } of gateway.client.watchVideo({ id })) {
        expect(video!.id).toBe(id);
        break;
      }
      expect((await gateway.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    }));
});

async function untilGone({ client }: TestGateway, id: string): Promise<void> {
  while (await client.getVideo({ id }).catch(() => undefined)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
