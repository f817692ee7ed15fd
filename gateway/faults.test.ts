import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FrameRate, JobState, Stage } from '../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../services/kit/deferred.ts';
import { FusionError } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { readSettings } from '../services/kit/settings.ts';
import { notFinite } from '../services/pipeline/finite.ts';
import { forEachStage, stageNames, stages as table } from '../services/pipeline/stages.ts';
import { gatewaySettings } from './settings.ts';
import { startGateway } from './start-gateway.ts';
import { stopTestServer, withData } from './testing/data.ts';
import { testRoute, withGateway } from './testing/gateway.ts';
import { startStageDoubles, untilAborted } from './testing/stage-doubles.ts';

const nowhere = '127.0.0.1:1';

afterAll(stopTestServer);

describe('a stage that is down', () => {
  test('makes the job wait, and then fails it by name', async () => {
    const others = await startStageDoubles();
    const { address } = others;
    const reachable = forEachStage(() => address);
    await Promise.all(
      stageNames.map((name) =>
        withGateway(
          async (gateway) => {
            const { id } = await gateway.create({ keepFrames: true });
            const videos = await gateway.watch(id);
            const stage = table[name].wire;
            expect(videos.some(({ stages }) => stages.at(-1)?.stage === stage && stages.at(-1)!.waiting)).toBe(true);
            const video = videos.at(-1)!;
            expect(video).toMatchObject({
              state: JobState.JOB_STATE_FAILED,
              attempt: 1,
              failure: { code: 'UNAVAILABLE', stage, attempt: 1 },
            });
            const { reason } = video.failure!;
            expect(reason).toContain(`fusionframes.v1.ModelService/DescribeModel at ${nowhere}: `);
            expect(reason).toMatch(/; no replica has served it for 6 seconds$/);
            expect(await gateway.data.objectKeys(() => false)).toEqual([]);
          },
          { stageAddresses: { ...reachable, [name]: nowhere }, progressTimeoutSeconds: 6 },
        ),
      ),
    );
    await others.stop();
  });

  test.each(['keyframes', 'interpolation', 'decoder'] as const)(
    'in the middle of %s and back soon: the job succeeds',
    async (hook) => {
      const reached = deferred();
      const broken = await startStageDoubles({
        [hook]: async (step: number, signal: AbortSignal) => {
          if (step === 2) {
            reached.resolve();
            await untilAborted(signal);
          }
        },
      });
      const { address } = broken;
      await withGateway(
        async (gateway) => {
          const { id } = await gateway.create({ keepFrames: true });
          await reached.promise;
          await broken.stop();
          const replacement = await startStageDoubles({}, address);
          const video = (await gateway.watch(id)).at(-1)!;
          expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, failure: undefined });
          expect(video.stages.at(-1)).toMatchObject({ step: 57, total: 57 });
          const keys = await gateway.data.objectKeys((key) => !key.includes('/results/'));
          expect(keys.filter((key) => key.includes('-frames-'))).toHaveLength(57);
          await replacement.stop();
        },
        { stageAddresses: forEachStage(() => address) },
      );
    },
  );
});

test('a stage without progress is restarted once, then fails the job', () => {
  let begun = 0;
  return withGateway(
    async (gateway) => {
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({
        state: JobState.JOB_STATE_FAILED,
        attempt: 2,
        failure: {
          code: 'DEADLINE_EXCEEDED',
          stage: Stage.STAGE_KEYFRAMES,
          reason: `keyframes at ${gateway.stages.address}: no progress for 0.3 seconds; the gateway began the stage 2 times`,
          attempt: 2,
        },
      });
      expect(begun).toBe(2);
    },
    {
      hooks: {
        keyframes: async (step, signal) => {
          begun += step === 1 ? 1 : 0;
          return step === 2 ? untilAborted(signal) : undefined;
        },
      },
      progressTimeoutSeconds: 0.3,
    },
  );
});

test('a job without progress occupies only its own slot', () => {
  let hung: AbortSignal | undefined;
  return withGateway(
    async (gateway) => {
      const stuck = await gateway.create();
      await gateway.untilRunning(stuck.id);
      const others = await Promise.all([1, 2, 3].map(() => gateway.create()));
      for (const { id } of others) {
        expect((await gateway.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
      }
      const { video } = await gateway.client.getVideo({ id: stuck.id });
      expect(video).toMatchObject({ state: JobState.JOB_STATE_RUNNING, attempt: 1 });
    },
    {
      hooks: {
        encode: async (signal) => {
          if (!hung) {
            hung = signal;
            await untilAborted(signal);
          }
        },
      },
      concurrentJobs: 2,
    },
  );
});

test("a stage's rejection reaches the caller unchanged", () =>
  withGateway(
    async (gateway) => {
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({
        state: JobState.JOB_STATE_FAILED,
        failure: { code: 'RESOURCE_EXHAUSTED', stage: Stage.STAGE_DECODER, reason: 'no memory left' },
      });
    },
    {
      hooks: {
        decoder: async () => {
          throw new FusionError(Status.RESOURCE_EXHAUSTED, 'no memory left');
        },
      },
    },
  ));

test('a network that returns NaN fails the job at once: a retry would return it again', () => {
  let begun = 0;
  return withGateway(
    async (gateway) => {
      const { id } = await gateway.create();
      expect((await gateway.watch(id)).at(-1)).toMatchObject({
        state: JobState.JOB_STATE_FAILED,
        attempt: 1,
        files: [],
        failure: {
          code: 'INTERNAL',
          errorReason: 'PREDICTION_NOT_FINITE',
          stage: Stage.STAGE_DECODER,
          reason: "decoder, frame 9 of 57: the network's output is not finite",
        },
      });
      expect(begun).toBe(1);
    },
    {
      hooks: {
        decoder: async (frame, _, total) => {
          begun += frame === 0 && total === 57 ? 1 : 0;
          if (frame === 8) {
            throw notFinite('decoder', `frame ${frame + 1} of ${total}`);
          }
        },
      },
    },
  );
});

describe('stopping', () => {
  test('lets a running job finish in time and notifies its watcher; a queued job is kept', () => {
    const release = deferred();
    const entered = deferred();
    const encode = async () => {
      entered.resolve();
      await release.promise;
    };
    return withGateway(
      async (gateway) => {
        const running = gateway.watch((await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW })).id);
        await entered.promise;
        const { id } = await gateway.create();
        const waiting = gateway.watch(id);
        waiting.catch(() => {});
        // Both watches are open.
        await gateway.client.listVideos({});
        const stopped = gateway.server.stop();
        release.resolve();
        expect((await running).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
        await expect(waiting).rejects.toMatchObject({ code: Status.UNAVAILABLE, reason: 'STOPPING' });
        await stopped;
        const [{ state }] = await gateway.data.database.sql<[{ state: string }]>`
          select state from jobs where id = ${id}`;
        expect(state).toBe('queued');
      },
      { hooks: { encode }, concurrentJobs: 1, drainSeconds: 30 },
    );
  });

  test('releases a job that outlasts the grace period', () => {
    const entered = deferred();
    const keyframes = (_: number, signal: AbortSignal) => {
      entered.resolve();
      return untilAborted(signal);
    };
    return withGateway(
      async (gateway) => {
        const { id } = await gateway.create();
        await entered.promise;
        await gateway.server.stop();
        const [row] = await gateway.data.database.sql`
          select state, owner, lease_until <= now() as free from jobs where id = ${id}`;
        expect(row).toEqual({ state: 'running', owner: null, free: true });
      },
      { hooks: { keyframes }, drainSeconds: 0.05 },
    );
  });
});

test('an invalid address is rejected at startup', () =>
  withData(async (data) => {
    const address = '127.0.0.1:1';
    const start = startGateway({
      ...readSettings(gatewaySettings, {}),
      address: 'unix:///proc/none/gateway.sock',
      routes: [testRoute(address)],
      log: createLogger('gateway', 'silent'),
      data,
    });
    await expect(start).rejects.toMatchObject({ code: Status.UNAVAILABLE, field: 'address' });
  }));
