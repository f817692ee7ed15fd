import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FrameRate, JobState, VideoFormat } from '../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../services/kit/deferred.ts';
import { stopTestServer } from './testing/data.ts';
import { withGateway } from './testing/gateway.ts';
import { type StageHooks, untilAborted } from './testing/stage-doubles.ts';

afterAll(stopTestServer);

/** Hooks that stop one stage at its third step until it is cancelled. */
function standstill(stage: keyof StageHooks) {
  const entered = deferred();
  const aborted = deferred();
  const wait = (signal: AbortSignal) => {
    entered.resolve();
    return untilAborted(signal).finally(aborted.resolve);
  };
  const atThirdStep = async (step: number, signal: AbortSignal) => (step === 3 ? wait(signal) : undefined);
  const hooks: StageHooks = stage === 'encode' ? { encode: wait } : { [stage]: atThirdStep };
  return { hooks, entered: entered.promise, aborted: aborted.promise };
}

describe('cancelling', () => {
  test.each(['encode', 'keyframes', 'interpolation', 'decoder'] as const)(
    'reaches %s at work, leaves no file and lets the next job run',
    (stage) => {
      const { hooks, entered, aborted } = standstill(stage);
      return withGateway(
        async (gateway) => {
          const { id } = await gateway.create({ keepFrames: true, interpolation: { steps: 3 } as never });
          await entered;
          const { video } = await gateway.client.cancelVideo({ id });
          expect(video).toMatchObject({ state: JobState.JOB_STATE_CANCELLED, failure: undefined });
          await aborted;
          delete hooks[stage];
          expect((await gateway.watch(id)).map(({ state }) => state)).toEqual([JobState.JOB_STATE_CANCELLED]);
          expect((await gateway.client.cancelVideo({ id })).video!.state).toBe(JobState.JOB_STATE_CANCELLED);

          const next = await gateway.create({ frameRate: FrameRate.FRAME_RATE_LOW });
          expect((await gateway.watch(next.id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
          await gateway.data.objectKeys((key) => key.startsWith(`${next.id}/files/`));
        },
        { hooks, concurrentJobs: 1 },
      );
    },
  );

  test('ends a queued job immediately', () => {
    const { hooks, entered } = standstill('keyframes');
    return withGateway(
      async (gateway) => {
        const first = await gateway.create();
        await entered;
        const waiting = await gateway.create();
        const watch = gateway.watch(waiting.id);
        await gateway.client.cancelVideo({ id: waiting.id });
        const seen = await watch;
        expect(seen.at(-1)).toMatchObject({ state: JobState.JOB_STATE_CANCELLED, stages: [] });
        await gateway.client.deleteVideo({ id: first.id });
        await expect(gateway.client.getVideo({ id: first.id })).rejects.toMatchObject({ code: Status.NOT_FOUND });
        await gateway.data.objectKeys((key) => !key.startsWith(first.id));
      },
      { hooks, concurrentJobs: 1 },
    );
  });

  test('is rejected for a job that has succeeded', () =>
    withGateway(async (gateway) => {
      const { id } = await gateway.create({ format: VideoFormat.VIDEO_FORMAT_WEBP });
      await gateway.watch(id);
      await expect(gateway.client.cancelVideo({ id })).rejects.toMatchObject({
        code: Status.FAILED_PRECONDITION,
        message: `job ${id} must be queued or running (it is succeeded)`,
      });
    }));
});
