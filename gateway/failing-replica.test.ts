import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState, Stage } from '../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../services/kit/errors.ts';
import { scopeOfEachTest } from '../services/kit/testing/test-scope.ts';
import { forEachStage } from '../services/pipeline/stages.ts';
import { stopTestServer } from './testing/data.ts';
import { type TestGateway, withGateway } from './testing/gateway.ts';
import { startStageDoubles } from './testing/stage-doubles.ts';

afterAll(stopTestServer);

const scope = scopeOfEachTest();

/**
 * Makes a video with two replicas of the stages, where this many calls for keyframes end with INTERNAL at their second
 * step. Returns the replica of each call.
 */
async function failing(failures: number, use: (gateway: TestGateway, id: string) => Promise<void>): Promise<number[]> {
  let called: number[] = [];
  let failuresLeft = 0;
  const start = (replica: number) =>
    scope.open(() =>
      startStageDoubles({
        async keyframes(step) {
          if (step === 1) {
            called.push(replica);
          } else if (step === 2 && failuresLeft > 0) {
            failuresLeft--;
            throw new FusionError(Status.INTERNAL, 'failed to allocate memory');
          }
        },
      }),
    );
  const [first, second] = [await start(1), await start(2)];
  const both = `ipv4:${first.address},${second.address}`;
  await withGateway(
    async (gateway) => {
      // Until the gateway is connected to both.
      while (new Set(called).size < 2) {
        await gateway.watch((await gateway.create()).id);
      }
      called = [];
      failuresLeft = failures;
      const { id } = await gateway.create();
      await use(gateway, id);
    },
    { stageAddresses: forEachStage(() => both) },
  );
  return called;
}

test('a stage that answers INTERNAL once is restarted on the other replica, and the job succeeds', async () => {
  const called = await failing(1, async (gateway, id) => {
    expect((await gateway.watch(id)).at(-1)).toMatchObject({
      state: JobState.JOB_STATE_SUCCEEDED,
      attempt: 2,
      failure: undefined,
    });
  });
  expect(called.toSorted()).toEqual([1, 2]);
});

test('a second INTERNAL, of the other replica, fails the job', async () => {
  const called = await failing(2, async (gateway, id) => {
    expect((await gateway.watch(id)).at(-1)).toMatchObject({
      state: JobState.JOB_STATE_FAILED,
      attempt: 2,
      failure: {
        code: 'INTERNAL',
        stage: Stage.STAGE_KEYFRAMES,
        reason: 'failed to allocate memory; the gateway began the stage 2 times',
        attempt: 2,
      },
    });
  });
  expect(called.toSorted()).toEqual([1, 2]);
});
