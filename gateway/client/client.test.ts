import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { notFinite } from '../../services/pipeline/finite.ts';
import { eventually } from '../../test/support/cli.ts';
import { ApiKeys } from '../keys/api-keys.ts';
import { stopTestServer } from '../testing/data.ts';
import { type TestGateway, type TestOptions, withGateway } from '../testing/gateway.ts';
import { untilAborted } from '../testing/stage-doubles.ts';
import {
  connectGrpc,
  connectHttp,
  type FusionError,
  isFinished,
  type ListOptions,
  type NewVideo,
  type Video,
  type VideoClient,
} from './index.ts';

afterAll(stopTestServer);

const protocols: readonly [string, (gateway: TestGateway, apiKey?: string) => VideoClient][] = [
  ['gRPC', ({ server }, apiKey = '') => connectGrpc({ address: server.address, apiKey })],
  ['HTTP', ({ server }, apiKey = '') => connectHttp({ baseUrl: `http://${server.httpAddress}`, apiKey })],
];
async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of all) {
    found.push(each);
  }
  return found;
}

const small = {
  prompt: 'a red circle',
  seed: 2n ** 64n - 1n,
  frameRate: 'low',
  keyframes: { steps: 3 },
  interpolation: { steps: 2 },
} as const;

describe.each(protocols)('over %s', (_, connect) => {
  const withClient = (use: (client: VideoClient, gateway: TestGateway) => Promise<void>, options: TestOptions = {}) =>
    withGateway(
      async (gateway) => {
        const client = connect(gateway);
        try {
          await use(client, gateway);
        } finally {
          client.close();
        }
      },
      { httpAddress: '127.0.0.1:0', ...options },
    );

  test('a video is created, watched, downloaded, listed and deleted', () =>
    withClient(async (client) => {
      const made = await client.create({ ...small, priority: 5, previews: true });
      expect(made).toMatchObject({
        state: 'queued',
        priority: 5,
        settings: { ...small, seed: String(small.seed), format: 'mp4', width: 128 },
      });
      const seen: Video[] = [];
      for await (const video of client.watch(made.id)) {
        seen.push(video);
      }
      const last = seen.at(-1)!;
      expect(last).toMatchObject({ state: 'succeeded', failure: null, attempt: 1 });
      expect(isFinished(last)).toBe(true);
      expect(seen.map(({ state }) => state)).toContain('running');
      expect(last.stages).toContainEqual({
        stage: 'keyframes',
        step: 3,
        total: 3,
        seconds: expect.any(Number),
        waiting: false,
        reused: false,
      });
      expect(await client.get(made.id)).toEqual(last);

      const file = last.files.find((each) => each.file === 'video')!;
      const download = await client.download(made.id);
      expect(download).toMatchObject({ mediaType: 'video/mp4', bytes: file.bytes, sha256: file.sha256 });
      const bytes = Buffer.concat(await collect(download));
      expect(bytes.length).toBe(file.bytes);
      const rest = await client.download(made.id, { offset: 100 });
      expect(rest.bytes).toBe(file.bytes);
      expect(Buffer.concat(await collect(rest)).equals(bytes.subarray(100))).toBe(true);
      const storyboard = await client.download(made.id, { file: 'storyboard' });
      expect(storyboard.mediaType).toBe('image/png');
      await collect(storyboard);

      const longer = await client.finish(made.id, { frameRate: 'high', format: 'webp', metadata: { take: '2' } });
      expect(longer.metadata).toEqual({ take: '2' });
      expect(longer.settings).toEqual({ ...last.settings, frameRate: 'high', format: 'webp' });
      expect(longer.remixedFrom).toBe(made.id);
      await client.delete(longer.id);
      await client.delete(made.id);
      expect(last.usage).toMatchObject({ seconds: expect.any(Number), reusedStages: 0, pixels: 15 * 128 * 128 });
      const [usage] = await collect(client.usage({ groupBy: 'preset' }));
      const jobs = { succeeded: 1, failed: 0, cancelled: 1 };
      expect(usage).toMatchObject({ group: 'nano', name: '', ...jobs, frames: 15, reusedStages: 0 });
      await expect(client.get(made.id)).rejects.toMatchObject({ code: Status.NOT_FOUND });
    }));

  test('the same request with one key is one video; a different request is rejected', () =>
    withClient(
      async (client) => {
        const first = await client.create({ ...small, idempotencyKey: 'mine' });
        expect((await client.create({ ...small, idempotencyKey: 'mine' })).id).toBe(first.id);
        await expect(client.create({ ...small, prompt: 'x', idempotencyKey: 'mine' })).rejects.toMatchObject({
          code: Status.ALREADY_EXISTS,
          reason: 'CLIENT_ID_IN_USE',
        });
        const second = await client.create({ ...small, metadata: { team: 'red' } });
        expect((await collect(client.list())).map(({ id }) => id)).toEqual([second.id, first.id]);
        const found = async (options: ListOptions) => (await collect(client.list(options))).map(({ id }) => id);
        expect(await found({ metadata: { team: 'red' }, createdAfter: second.createdAt! })).toEqual([second.id]);
        expect(await found({ model: 'nano', createdBefore: new Date(0) })).toEqual([]);
        await client.cancel(first.id);
        expect(await found({ state: 'cancelled' })).toEqual([first.id]);
        expect(await found({ state: 'failed' })).toEqual([]);
      },
      { hooks: { encode: untilAborted } },
    ));

  test('videos are created all or none, once, and remixed', () =>
    withClient(
      async (client) => {
        const all = [small, { ...small, seed: 2n }];
        const made = await client.createAll(all, { idempotencyKey: 'k'.repeat(128) });
        expect(made.map(({ settings }) => settings.seed)).toEqual([String(small.seed), '2']);
        const again = await client.createAll(all, { idempotencyKey: 'k'.repeat(128) });
        expect(again.map(({ id }) => id)).toEqual(made.map(({ id }) => id));
        const refusal = (videos: object[], idempotencyKey = 'new') =>
          client.createAll(videos as NewVideo[], { idempotencyKey }).catch((error) => error);
        for (const [videos, field, message] of [
          [[], 'videos', /^`videos` must be 1 to 100 videos \(got /],
          [Array(101).fill(small), 'videos', /^`videos` must be 1 to 100 videos \(got /],
          [[small, { ...small, width: 65 }], 'videos.1.width', /^`videos.1.width` must be 128 \(got 65\)/],
          [[small, { ...small, deadline: new Date(1000) }], 'videos.1.deadline', /^`videos.1.deadline` must be/],
        ] as const) {
          expect(await refusal([...videos])).toMatchObject({
            code: Status.INVALID_ARGUMENT,
            field,
            message: expect.stringMatching(message),
          });
        }
        for (const [videos, at] of [
          [[small, { ...small, prompt: 'x' }], 1],
          [[...all, small], 0],
          [[small], 0],
        ] as const) {
          const message = ` was already used by a different request: one without a batch, with another number of videos, or with another \`videos.${at}\``;
          expect(await refusal([...videos], 'k'.repeat(128))).toMatchObject({
            code: Status.ALREADY_EXISTS,
            message: expect.stringContaining(message),
          });
        }

        const [first] = made;
        const remix = { prompt: 'a blue square', metadata: { team: 'red' }, idempotencyKey: 'mine' };
        const remixed = await client.remix(first!.id, remix);
        expect(remixed).toMatchObject({
          remixedFrom: first!.id,
          settings: { ...first!.settings, prompt: remix.prompt },
          metadata: remix.metadata,
        });
        expect((await client.remix(first!.id, remix)).id).toBe(remixed.id);
        // Neither is the other's repetition.
        for (const other of [
          client.create({ ...small, idempotencyKey: 'k'.repeat(128) }),
          client.createAll([small], { idempotencyKey: 'mine' }),
        ]) {
          await expect(other).rejects.toMatchObject({ code: Status.ALREADY_EXISTS, reason: 'CLIENT_ID_IN_USE' });
        }
        await expect(client.remix(first!.id, { prompt: ' ' })).rejects.toMatchObject({ field: 'prompt' });
        const webhook = { url: 'http://192.0.2.1/', secret: 's', events: [] };
        await expect(async () => client.create({ ...small, webhook })).rejects.toMatchObject({
          field: 'webhook.events',
        });
        // A name that objects cannot hold as others is refused, not lost: such a list would be one of everything.
        const metadata = JSON.parse('{"__proto__": "x"}');
        for (const lost of [client.create({ ...small, metadata }), collect(client.list({ metadata }))]) {
          await expect(lost).rejects.toMatchObject({ field: 'metadata.__proto__', reason: 'UNKNOWN_FIELD' });
        }
        await expect(client.remix('video_0', remix)).rejects.toMatchObject({ code: Status.NOT_FOUND });
        expect(await collect(client.list())).toHaveLength(3);
      },
      { hooks: { encode: untilAborted } },
    ));

  test('a video has a place in the queue, and fails at its deadline', () => {
    let isHanging = false;
    const hooks = { encode: async (signal: AbortSignal) => (isHanging ? untilAborted(signal) : undefined) };
    return withClient(
      async (client, gateway) => {
        await expect(client.create({ ...small, deadline: new Date(0) })).rejects.toMatchObject({
          code: Status.INVALID_ARGUMENT,
          reason: 'INVALID_FIELD',
          field: 'deadline',
        });
        isHanging = true;
        const first = await client.create(small);
        await gateway.untilRunning(first.id);
        const deadline = new Date(1000 * Math.ceil(Date.now() / 1000 + 1));
        const late = await client.create({ ...small, deadline });
        expect(late).toMatchObject({ deadline, queue: { startsAt: null, readyAt: null } });
        expect((await collect(client.watch(late.id))).at(-1)).toMatchObject({
          state: 'failed',
          queue: null,
          failure: { code: 'DEADLINE_EXCEEDED', reason: 'DEADLINE_MISSED', stage: null },
        });
        await client.cancel(first.id);

        isHanging = false;
        // The other videos' times are estimated from this one's.
        await collect(client.watch((await client.create(small)).id));
        isHanging = true;
        const running = await client.create(small);
        await gateway.untilRunning(running.id);
        const queued = await client.create(small);
        // A forecast is used for a second.
        await eventually(async () => {
          const { queue } = await client.get(queued.id);
          return queue?.position === 1 && queue.startsAt !== null && queue.readyAt !== null;
        });
        const places = (await collect(client.list())).map(({ queue }) => queue);
        const times = { startsAt: expect.any(Date), readyAt: expect.any(Date) };
        expect(places).toEqual([{ position: 1, ...times }, { position: 0, ...times }, null, null, null]);
      },
      { hooks, concurrentJobs: 1 },
    );
  });

  test('a failed video has a message for people and a reason for programs', () =>
    withClient(
      async (client) => {
        const { id } = await client.create(small);
        expect((await collect(client.watch(id))).at(-1)).toMatchObject({
          state: 'failed',
          failure: {
            code: 'INTERNAL',
            stage: 'decoder',
            message: "decoder, frame 1 of 15: the network's output is not finite",
            reason: 'PREDICTION_NOT_FINITE',
            attempt: 1,
          },
        });
      },
      {
        hooks: {
          decoder: async () => {
            throw notFinite('decoder', 'frame 1 of 15');
          },
        },
      },
    ));

  test('a running video is cancelled; a watch of it ends', () =>
    withClient(
      async (client) => {
        const { id } = await client.create(small);
        const watched = collect(client.watch(id));
        expect(await client.cancel(id)).toMatchObject({ id, state: 'cancelled', failure: null });
        expect((await watched).at(-1)).toMatchObject({ state: 'cancelled' });
        await expect(client.download(id)).rejects.toMatchObject({
          code: Status.FAILED_PRECONDITION,
          reason: 'NO_SUCH_FILE_YET',
        });
      },
      { hooks: { encode: untilAborted } },
    ));

  test('an abort ends a watch, not the video', () =>
    withClient(
      async (client) => {
        const { id } = await client.create(small);
        const leaving = new AbortController();
        const watch = async () => {
          for await (const _ of client.watch(id, { signal: leaving.signal })) {
            leaving.abort();
          }
        };
        await expect(watch()).rejects.toMatchObject({ name: 'AbortError' });
        expect(isFinished(await client.get(id))).toBe(false);
      },
      { hooks: { encode: untilAborted } },
    ));

  test('bad requests name their field', () =>
    withClient(async (client) => {
      const refusal = (video: object) => client.create({ ...small, ...video }).catch((error: FusionError) => error);
      expect(await refusal({ prompt: ' ' })).toMatchObject({ code: Status.INVALID_ARGUMENT, field: 'prompt' });
      expect(await refusal({ width: 65 })).toMatchObject({
        code: Status.INVALID_ARGUMENT,
        field: 'width',
        message: expect.stringContaining('`width` must be 128 (got 65)'),
      });
      for (const frame of [-1, 0.5]) {
        expect(await refusal({ inputReference: { videoId: 'video_0', frame } })).toMatchObject({
          code: Status.INVALID_ARGUMENT,
          field: expect.stringMatching(/^input_reference/),
        });
      }
      for (const time of [new Date(-1), new Date(8e15)]) {
        await expect(collect(client.list({ createdAfter: time }))).rejects.toMatchObject({ field: 'created_after' });
        await expect(collect(client.usage({ from: time, to: time }))).rejects.toMatchObject({
          code: Status.INVALID_ARGUMENT,
        });
      }
      for (const time of [new Date(Number.NaN), '2026-01-01' as unknown as Date]) {
        const lists = { createdBefore: client.list({ createdBefore: time }), from: client.usage({ from: time }) };
        for (const [field, list] of Object.entries(lists)) {
          await expect(collect<unknown>(list)).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, field });
        }
        expect(await refusal({ deadline: time })).toMatchObject({ code: Status.INVALID_ARGUMENT, field: 'deadline' });
      }
      const unknown = { groupBy: 'team', state: 'done' } as object;
      for (const [list, message] of [
        [client.usage(unknown), / must be one of key, preset, day \(got "team"\)$/],
        [client.list(unknown), /^`state` must be one of .* \(got "done"\)$/],
      ] as const) {
        await expect(collect<unknown>(list)).rejects.toThrow(message);
      }
      expect(await refusal({ frameRate: 'fast' })).toMatchObject({ field: 'frame_rate' });
      await expect(client.get('video_0')).rejects.toMatchObject({ code: Status.NOT_FOUND });
    }));

  test('each key sees its own videos', () =>
    withClient(async (client, gateway) => {
      const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
      const key = await new ApiKeys(gateway.data.database.sql).create({ name: 'mine', scopes: ['read'], limits });
      const mine = connect(gateway, key.text);
      expect(await collect(mine.list())).toEqual([]);
      await expect(mine.create(small)).rejects.toMatchObject({ code: Status.PERMISSION_DENIED });
      // A busy gateway may hear of its first key after a moment.
      const wrong = connect(gateway, 'ff_wrong');
      const isRefused = ({ code }: { code: Status }) => code === Status.UNAUTHENTICATED;
      await eventually(() => wrong.get('x').then(() => false, isRefused));
      wrong.close();
      mine.close();
      client.close();
    }));
});

test('frames are available only over gRPC', async () => {
  const client = connectHttp({ baseUrl: 'http://127.0.0.1:1' });
  await expect(client.download('x', { file: { frame: 0 } })).rejects.toMatchObject({ field: 'file' });
  await expect(async () => client.create({ prompt: 'x', keepFrames: true })).rejects.toMatchObject({
    field: 'keepFrames',
  });
});

test('a client over HTTP uses the `fetch` it is given', async () => {
  const requested: string[] = [];
  const client = connectHttp({
    baseUrl: 'http://gateway.invalid/base',
    async fetch(url) {
      requested.push(String(url));
      return Response.json({ data: [], last_id: null, has_more: false });
    },
  });
  expect(await collect(client.list({ pageSize: 5 }))).toEqual([]);
  expect(requested).toEqual(['http://gateway.invalid/base/v1/videos?limit=5']);
});

test.each(['ftp://x', 'nonsense', 'http://x/?a=1'])('%s is not where a gateway is', (baseUrl) => {
  expect(() => connectHttp({ baseUrl })).toThrow('`baseUrl` must be an http or https URL');
});

test("an unreachable gateway is UNAVAILABLE, a silent one DEADLINE_EXCEEDED, and a proxy's error is reported", async () => {
  const server = createServer((request, response) => {
    if (request.url === '/v1/videos/proxy') {
      response.writeHead(429, { 'retry-after': '7' }).end('<html>slow down</html>');
    } else if (request.url === '/v1/videos/large') {
      response.writeHead(413).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = connectHttp({ baseUrl, timeoutSeconds: 0.2 });
  await expect(client.get('silent')).rejects.toMatchObject({ code: Status.DEADLINE_EXCEEDED });
  await expect(client.get('proxy')).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED, retryAfterSeconds: 7 });
  await expect(client.get('large')).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  const away = await client.delete('x').catch((error: FusionError) => error);
  expect(away).toMatchObject({
    code: Status.UNAVAILABLE,
    message: expect.stringContaining(`DELETE ${baseUrl}/v1/videos/x: `),
  });
});
