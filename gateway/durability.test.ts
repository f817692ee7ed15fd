import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import {
  FrameRate,
  JobState,
  Stage,
  type Video,
  VideoFile,
  type WatchVideoResponse,
} from '../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../services/kit/deferred.ts';
import { FusionError } from '../services/kit/errors.ts';
import { eventually } from '../test/support/cli.ts';
import { readPostmasterFile } from './database/embedded/postmaster-file.ts';
import type { ObjectStore } from './storage/object-store.ts';
import { stopTestServer, type TestData, withData } from './testing/data.ts';
import { startTestGateway, type TestClient, testClient, withGateway } from './testing/gateway.ts';
import { spawnGateway } from './testing/gateway-process.ts';
import { type StageHooks, startStageDoubles, untilAborted } from './testing/stage-doubles.ts';

afterAll(stopTestServer);

const settings = { seed: 7n };

/** Doubles that count how often each stage was begun, and stand still once, at the second step of one of them. */
function standstillOnce(at: 'keyframes' | 'interpolation' | 'decoder' | undefined) {
  const begun = { encode: 0, keyframes: 0, interpolation: 0, decoder: 0 };
  const reached = deferred();
  const left = deferred();
  let isPending = at !== undefined;
  const step = (name: keyof typeof begun, first: number) => async (count: number, signal: AbortSignal) => {
    begun[name] += count === first ? 1 : 0;
    if (isPending && name === at && count === 2) {
      isPending = false;
      reached.resolve();
      await untilAborted(signal).finally(left.resolve);
    }
  };
  const hooks: StageHooks = {
    encode: async () => {
      begun.encode++;
    },
    keyframes: step('keyframes', 1),
    interpolation: step('interpolation', 1),
    decoder: step('decoder', 0),
  };
  return { hooks, begun, reached: reached.promise, left: left.promise };
}

async function videoOf({ client }: TestClient, id: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const { data } of client.downloadVideo({ id })) {
    hash.update(data);
  }
  return hash.digest('hex');
}

/** The owner of every lease has been silent for too long. */
function expireLeases({ database }: TestData) {
  return database.sql`update jobs set lease_until = now() - interval '1 second' where owner is not null`;
}

let undisturbed: Promise<string> | undefined;

/** Hash of the video that the same request gives when nothing happens. */
function undisturbedVideo(): Promise<string> {
  undisturbed ??= new Promise((resolve, reject) => {
    withGateway(async (gateway) => {
      const { id } = await gateway.create(settings);
      await gateway.watch(id);
      resolve(await videoOf(gateway, id));
    }).catch(reject);
  });
  return undisturbed;
}

describe('a gateway that is killed', () => {
  test.each([
    ['keyframes', { encode: 1, keyframes: 2, interpolation: 1, decoder: 1 }],
    ['interpolation', { encode: 1, keyframes: 1, interpolation: 2, decoder: 1 }],
    ['decoder', { encode: 1, keyframes: 1, interpolation: 1, decoder: 2 }],
  ] as const)('while %s works: another one goes on after the last recorded stage, to the same video', (stage, counts) =>
    withData(async (data) => {
      const { hooks, begun, reached } = standstillOnce(stage);
      const stages = await startStageDoubles(hooks);
      const doomed = await spawnGateway(data, stages.address);
      const { id } = await doomed.create(settings);
      await reached;
      await doomed.kill();
      const server = await startTestGateway(data, stages.address);
      const heir = testClient(server.address);
      await expireLeases(data);
      const end = (await heir.watch(id)).at(-1)!;
      expect(end).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2, failure: undefined });
      expect(begun).toEqual(counts);
      expect(await videoOf(heir, id)).toBe(await undisturbedVideo());
      heir.close();
      await server.stop();
      await stages.stop();
    }),
  );

  test('has its job adopted although the other one has its hands full', () =>
    withData(async (data) => {
      const { hooks, reached } = standstillOnce('keyframes');
      const stages = await startStageDoubles(hooks);
      const doomed = await spawnGateway(data, stages.address);
      const { id } = await doomed.create(settings);
      await reached;
      const full = await startStageDoubles({ ...hooks, encode: untilAborted });
      const stageAddresses = {
        textEncoder: full.address,
        keyframes: stages.address,
        interpolation: stages.address,
        decoder: stages.address,
      };
      await doomed.kill();
      const server = await startTestGateway(data, stages.address, { stageAddresses, concurrentJobs: 1 });
      const heir = testClient(server.address);
      const stuck = await heir.create(settings);
      const waiting = await heir.create(settings);
      await heir.untilRunning(stuck.id);
      await expireLeases(data);
      expect((await heir.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
      const stateOf = async (of: string) => (await heir.client.getVideo({ id: of })).video!.state;
      expect(await stateOf(stuck.id)).toBe(JobState.JOB_STATE_RUNNING);
      expect(await stateOf(waiting.id)).toBe(JobState.JOB_STATE_QUEUED);
      heir.close();
      await server.stop();
      await stages.stop();
      await full.stop();
    }));

  test('leaves nothing in the folder of temporary files once another one has started', () =>
    withData(async (data) => {
      const { address, stop } = await startStageDoubles();
      const doomed = await spawnGateway(data, address);
      const left = async () => (await readdir(tmpdir())).filter((name) => name.includes(`-${doomed.process.pid}-`));
      await doomed.kill();
      expect(await left()).not.toEqual([]);
      const heir = await spawnGateway(data, address);
      expect(await left()).toEqual([]);
      await heir.kill();
      await stop();
    }));

  test('loses and doubles no event of a watch that goes on at another one', () =>
    withData(async (data) => {
      const { hooks, reached } = standstillOnce('interpolation');
      const stages = await startStageDoubles(hooks);
      const doomed = await spawnGateway(data, stages.address);
      const { id } = await doomed.create(settings);
      const seen: WatchVideoResponse[] = [];
      const follow = async ({ client }: TestClient) => {
        for await (const change of client.watchVideo({ id, resumeToken: seen.at(-1)?.resumeToken ?? '' })) {
          seen.push(change);
        }
      };
      const broken = follow(doomed);
      broken.catch(() => {});
      await reached;
      await doomed.kill();
      await expect(broken).rejects.toMatchObject({ code: expect.any(Number) });
      const server = await startTestGateway(data, stages.address);
      const heir = testClient(server.address);
      await expireLeases(data);
      await follow(heir);
      const last = seen.at(-1)!;
      expect(last.video!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
      const tokens = seen.map(({ resumeToken }) => Number(resumeToken));
      expect(tokens).toEqual(Array.from({ length: tokens.length }, (_, index) => tokens[0]! + index));
      // Nothing is left after the last one, and a token from nowhere is refused.
      seen.push(last);
      const before = seen.length;
      await follow(heir);
      expect(seen).toHaveLength(before);
      for (const resumeToken of ['999', 'x', '-1']) {
        await expect(heir.client.watchVideo({ id, resumeToken })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
          code: Status.INVALID_ARGUMENT,
          field: 'resume_token',
        });
      }
      heir.close();
      await server.stop();
      await stages.stop();
    }));
});

test('a gateway that was paused wakes up after its job was taken over, and changes nothing', () =>
  withData(async (data) => {
    const { hooks, reached, left } = standstillOnce('keyframes');
    const stages = await startStageDoubles(hooks);
    const paused = await spawnGateway(data, stages.address);
    const { id } = await paused.create(settings);
    await reached;
    paused.process.kill('SIGSTOP');
    const server = await startTestGateway(data, stages.address);
    const heir = testClient(server.address);
    await expireLeases(data);
    expect((await heir.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    const state = () => data.database.sql`
      select jobs.*, (select count(*) from job_events) as events from jobs where id = ${id}`;
    const before = await state();
    const objects = await data.objectKeys((key) => !key.includes('/results/'));
    paused.process.kill('SIGCONT');
    // Its next renewal tells it that the job is not its own.
    await left;
    await paused.client.getVideo({ id });
    expect(await state()).toEqual(before);
    expect(await data.objectKeys()).toEqual(objects);
    await paused.kill();
    heir.close();
    await server.stop();
    await stages.stop();
  }));

test('two gateways share the work', () =>
  withData(async (data) => {
    let running = 0;
    const both = deferred();
    const stages = await startStageDoubles({
      async encode() {
        if (++running === 2) {
          both.resolve();
        }
        await both.promise;
      },
    });
    const servers = [
      await startTestGateway(data, stages.address, { concurrentJobs: 1 }),
      await startTestGateway(data, stages.address, { concurrentJobs: 1 }),
    ];
    const [one, other] = servers.map(({ address }) => testClient(address)) as [TestClient, TestClient];
    const low = { frameRate: FrameRate.FRAME_RATE_LOW };
    const jobs = [await one.create(low), await one.create(low)];
    // Both are seen at either of them.
    for (const { id } of jobs) {
      expect((await other.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    }
    for (const each of [one, other]) {
      each.close();
    }
    await Promise.all(servers.map((server) => server.stop()));
    await stages.stop();
  }));

test('a cancel at one gateway stops the stage that another one calls', () =>
  withData(async (data) => {
    const reached = deferred();
    const aborted = deferred();
    const stages = await startStageDoubles({
      keyframes: async (_, signal) => {
        reached.resolve();
        await untilAborted(signal).finally(aborted.resolve);
      },
    });
    const worker = await startTestGateway(data, stages.address);
    const idle = await startTestGateway(data, stages.address, { concurrentJobs: 1 });
    const [one, other] = [testClient(worker.address), testClient(idle.address)];
    const jobs = [await one.create(), await one.create(), await one.create()];
    await reached.promise;
    for (const { id } of jobs) {
      expect((await other.client.cancelVideo({ id })).video!.state).toBe(JobState.JOB_STATE_CANCELLED);
    }
    await aborted.promise;
    expect(await data.objectKeys(() => false)).toEqual([]);
    one.close();
    other.close();
    await Promise.all([worker.stop(), idle.stop()]);
    await stages.stop();
  }));

test('PostgreSQL is killed in the middle: callers are told, the job goes on where it stood', () => {
  const release = deferred();
  const reached = deferred();
  const { hooks, begun } = standstillOnce(undefined);
  return withGateway(
    async (gateway) => {
      const { id } = await gateway.create(settings);
      await reached.promise;
      const watching = deferred();
      const seen: Video[] = [];
      const watch = (async () => {
        for await (const { video } of gateway.client.watchVideo({ id })) {
          seen.push(video!);
          watching.resolve();
        }
      })();
      await watching.promise;
      const [{ folder }] = await gateway.data.database.sql<[{ folder: string }]>`
        select current_setting('data_directory') as folder`;
      process.kill((await readPostmasterFile(folder))!.pid, 'SIGKILL');
      await eventually(async () => {
        const answer = await gateway.client.getVideo({ id }).catch((error: FusionError) => error);
        return answer instanceof Error && answer.message.includes('database');
      });
      release.resolve();
      await watch;
      expect(seen.at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
      expect(begun).toEqual({ encode: 1, keyframes: 1, interpolation: 1, decoder: 1 });
      const numbers = await gateway.data.database.sql<{ number: number }[]>`
        select number from job_events where job_id = ${id} order by number`;
      expect(numbers.map(({ number }) => number)).toEqual(numbers.map((_, index) => index + 1));
    },
    {
      hooks: {
        ...hooks,
        async interpolation(step, signal) {
          reached.resolve();
          await release.promise;
          await hooks.interpolation!(step, signal);
        },
      },
    },
  );
});

describe('an object store that fails', () => {
  function failing(data: TestData, error: FusionError, failures: number, part: string): TestData {
    let left = failures;
    const { objects } = data;
    const put: ObjectStore['put'] = async (key, body, options) => {
      if (key.includes(part) && left-- > 0) {
        throw error;
      }
      return objects.put(key, body, options);
    };
    return {
      ...data,
      objects: {
        put,
        open: (key, range) => objects.open(key, range),
        removeAll: (prefix) => objects.removeAll(prefix),
        close: () => objects.close(),
      },
    };
  }

  const full = new FusionError(Status.RESOURCE_EXHAUSTED, 'no space left on the disk', { reason: 'DISK_FULL' });
  const away = new FusionError(Status.UNAVAILABLE, 'the bucket is away');

  test.each([
    ['results', Stage.STAGE_KEYFRAMES, 'keyframes'],
    ['files', Stage.STAGE_DECODER, 'video.mp4'],
  ] as const)('because its disk is full of %s: the job fails and says so', (_, stage, part) =>
    withData(async (data) => {
      const stages = await startStageDoubles();
      const server = await startTestGateway(failing(data, full, 1, part), stages.address);
      const gateway = testClient(server.address);
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({
        state: JobState.JOB_STATE_FAILED,
        failure: { code: 'RESOURCE_EXHAUSTED', stage, reason: 'no space left on the disk', attempt: 1 },
        files: [],
      });
      expect(await data.objectKeys(() => false)).toEqual([]);
      gateway.close();
      await server.stop();
      await stages.stop();
    }),
  );

  test('for a while: the job succeeds', () =>
    withData(async (data) => {
      const stages = await startStageDoubles();
      const server = await startTestGateway(failing(data, away, 2, 'interpolation'), stages.address);
      const gateway = testClient(server.address);
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 3 });
      gateway.close();
      await server.stop();
      await stages.stop();
    }));
});

describe('early pictures', () => {
  test('are there while the next stage works', () => {
    const reached = deferred();
    const release = deferred();
    return withGateway(
      async (gateway) => {
        const { id } = await gateway.create({}, '', { previews: true });
        await reached.promise;
        await eventually(async () => {
          const { video } = await gateway.client.getVideo({ id });
          return video!.files.length === 2;
        });
        const { video } = await gateway.client.getVideo({ id });
        expect(video!.state).toBe(JobState.JOB_STATE_RUNNING);
        expect(video!.files.map(({ file }) => file)).toEqual([
          VideoFile.VIDEO_FILE_STORYBOARD,
          VideoFile.VIDEO_FILE_PREVIEW,
        ]);
        for (const { file, bytes } of video!.files) {
          let received = 0n;
          for await (const { data } of gateway.client.downloadVideo({ id, file })) {
            received += BigInt(data.length);
          }
          expect(received).toBe(bytes);
        }
        release.resolve();
        const end = (await gateway.watch(id)).at(-1)!;
        expect(end.files).toHaveLength(5);
      },
      {
        hooks: {
          async interpolation() {
            reached.resolve();
            await release.promise;
          },
        },
      },
    );
  });

  test('that cannot be made do not disturb the job', () =>
    withGateway(
      async (gateway) => {
        const { id } = await gateway.create({}, '', { previews: true });
        const end = (await gateway.watch(id)).at(-1)!;
        expect(end).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
        expect(end.files).toHaveLength(4);
      },
      {
        hooks: {
          async decoder(_, __, total) {
            if (total < 57) {
              throw new FusionError(Status.INTERNAL, 'no preview today');
            }
          },
        },
      },
    ));
});
