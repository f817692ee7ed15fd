import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { Sampler } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { JobState } from '../../proto/gen/fusionframes/v1/video.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { stopTestServer } from '../testing/data.ts';
import { type TestGateway, withGateway } from '../testing/gateway.ts';
import { disturbedSettings, undisturbedVideo, videoOf } from '../testing/standstill.ts';

afterAll(stopTestServer);

type Diffusion = 'keyframes' | 'interpolation';
const total = 5;
const failsAt = 4;
const shortSteps = 3;
const longSteps = 150;

interface Failure {
  gateway: TestGateway;
  /** The checkpoints that the gateway has recorded. */
  checkpoint: { step: number; key: string; seconds: number };
}

/**
 * Makes a video whose stage fails once, after a checkpoint; returns the steps that the stage was asked for, and the video's
 * usage.
 */
async function failOnce(stage: Diffusion, onFailure: (failure: Failure) => Promise<unknown> = async () => {}) {
  const steps: number[] = [];
  let gateway: TestGateway | undefined;
  let isPending = true;
  let usage = 0;
  const hook = async (step: number) => {
    if (isPending && step === failsAt) {
      isPending = false;
      await onFailure({ gateway: gateway!, checkpoint: await recorded(gateway!) });
      throw new FusionError(Status.UNAVAILABLE, 'the replica is gone');
    }
    steps.push(step);
  };
  const use = async (running: TestGateway) => {
    gateway = running;
    const sampling = { sampler: Sampler.SAMPLER_UNSPECIFIED, steps: total, guidanceScale: undefined };
    const { id } = await running.create({ ...disturbedSettings, keyframes: sampling, interpolation: sampling });
    const video = (await running.watch(id)).at(-1)!;
    expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
    expect(await videoOf(running, id)).toBe(await undisturbedVideo());
    expect(await running.data.database.sql`select * from job_checkpoints`).toHaveLength(0);
    await running.data.objectKeys((key) => !key.includes('/results/'));
    usage = video.usage!.stages.find(
      (each) => each.stage === video.stages.at(stage === 'keyframes' ? 1 : 2)!.stage,
    )!.seconds;
  };
  await withGateway(use, { hooks: { [stage]: hook }, checkpointSeconds: 1e-9 });
  return { steps, usage };
}

async function recorded({ data }: TestGateway): Promise<Failure['checkpoint']> {
  for (;;) {
    const [checkpoint] = await data.database.sql<Failure['checkpoint'][]>`
      select step, object_key as key, seconds from job_checkpoints`;
    if (checkpoint) {
      return checkpoint;
    }
    // The stage goes on while a checkpoint is being recorded.
    await pause(5);
  }
}

const untilFailure = Array.from({ length: failsAt - 1 }, (_, index) => index + 1);
const all = Array.from({ length: total }, (_, index) => index + 1);

test.each<Diffusion>(['keyframes', 'interpolation'])(
  'a stage that fails within %s continues after its last recorded step, to the same video',
  async (stage) => {
    let lastRecorded = 0;
    const { steps } = await failOnce(stage, async ({ checkpoint }) => {
      lastRecorded = checkpoint.step;
    });
    const again = steps.slice(failsAt - 1);
    expect(steps.slice(0, failsAt - 1)).toEqual(untilFailure);
    expect(again).toEqual(all.slice(again[0]! - 1));
    expect(again[0]).toBeGreaterThan(lastRecorded);
  },
);

test.each<[string, (failure: Failure) => Promise<unknown>]>([
  ['is damaged', ({ gateway, checkpoint }) => truncate(join(gateway.data.storage, checkpoint.key), 20)],
  [
    'belongs to other weights or another release',
    ({ gateway }) => gateway.data.database.sql`update job_checkpoints set run = 'another'`,
  ],
])('a stage whose checkpoint %s starts over, and its time counts all the same', async (_, spoil) => {
  const { steps, usage } = await failOnce('keyframes', async (failure) => {
    // Nothing more is recorded that could replace the damaged checkpoint.
    await pause(100);
    await failure.gateway.data.database.sql`update job_checkpoints set seconds = 50`;
    await failure.gateway.data.database.sql`update jobs set stages = jsonb_set(stages, '{1,seconds}', '70')`;
    await spoil(failure);
  });
  expect(steps).toEqual([...untilFailure, ...all]);
  expect(usage).toBeGreaterThan(70);
  expect(usage).toBeLessThan(100);
});

test('a job with a higher priority pauses one that runs, which continues where it stopped, to the same video', async () => {
  // Steps that exist only in the long job.
  const long: number[] = [];
  let milliseconds = 50;
  const keyframes = async (step: number) => {
    if (step > shortSteps) {
      long.push(step);
      await pause(milliseconds);
    }
  };
  const options = { hooks: { keyframes }, concurrentJobs: 1, checkpointSeconds: 0.05, preemptSeconds: 0.2 };
  await withGateway(async ({ client, create, watch, ...gateway }) => {
    // The forecast needs the times of a video.
    await watch((await create()).id);
    const sampling = { sampler: Sampler.SAMPLER_UNSPECIFIED, steps: longSteps, guidanceScale: undefined };
    const low = await create({ ...disturbedSettings, keyframes: sampling });
    await gateway.untilRunning(low.id);
    const seen = watch(low.id);
    const high = await create({}, '', { priority: 5 });
    const first = (await watch(high.id)).at(-1)!;
    expect((await client.getVideo({ id: low.id })).video!.finishedAt).toBeUndefined();
    milliseconds = 0;
    const changes = await seen;
    const last = changes.at(-1)!;
    expect(first).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, pauses: 0 });
    expect(last).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, pauses: 1, attempt: 1 });
    expect(changes.find(({ pauses }) => pauses > 0)!.state).toBe(JobState.JOB_STATE_QUEUED);
    // Nothing is lost but the step in progress.
    expect([...new Set(long)]).toEqual(Array.from({ length: longSteps - shortSteps }, (_, i) => shortSteps + 1 + i));
    expect(long.length - (longSteps - shortSteps)).toBeLessThan(longSteps / 4);
    expect(await videoOf({ client, create, watch, ...gateway }, low.id)).toBe(await undisturbedVideo());
    expect(last.usage!.seconds).toBeLessThan((last.finishedAt!.getTime() - last.startedAt!.getTime()) / 1000);
  }, options);
});
