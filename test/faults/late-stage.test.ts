import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import { FrameRate, JobState, Stage } from '../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { Fleet } from '../support/fleet.ts';
import { follow } from '../support/follow.ts';

/** What a cluster may take for the first replica of a stage that it had scaled to zero: to notice, to place, to start. */
const startSeconds = 20;

let fleet: Fleet;
let client: TestClient;

beforeAll(async () => {
  // A job that has to be begun anew fails.
  fleet = await Fleet.start({ gatewayEnvironment: { FUSIONFRAMES_STAGE_ATTEMPTS: '1' } });
  client = testClient(fleet.gatewayAddresses[0]!);
});

afterAll(async () => {
  client.close();
  await fleet.stop();
});

test('a job waits for a stage without replicas, and continues when there is one', async () => {
  await fleet.kill('keyframes');
  const { id } = await client.create({
    frameRate: FrameRate.FRAME_RATE_LOW,
    keyframes: { sampler: 0, steps: 2 },
  });
  let started: Promise<void> | undefined;
  const changes = await follow([client], id, timeLimit(500_000).signal, ({ video }) => {
    const latest = video!.stages.at(-1);
    if (latest?.stage === Stage.STAGE_KEYFRAMES && latest.waiting) {
      started ??= pause(startSeconds * 1000).then(() => fleet.restart('keyframes'));
    }
  });
  await started;
  const { video } = changes.at(-1)!;
  expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
  expect(video!.stages.map(({ waiting }) => waiting)).toEqual([false, false, false]);
  expect(video!.stages[1]!.seconds).toBeGreaterThan(startSeconds);
});
