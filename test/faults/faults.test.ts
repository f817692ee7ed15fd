import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import { FrameRate, JobState, Stage, type VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { stageNames, stages } from '../../services/pipeline/stages.ts';
import { eventually } from '../support/cli.ts';
import { Fleet, type ProcessKind, type ServiceKind } from '../support/fleet.ts';
import { follow, persist } from '../support/follow.ts';
import { type JobHistory, jobHistory, rememberResults } from '../support/job-history.ts';

const settings: Partial<VideoSettings> = {
  seed: 7n,
  frameRate: FrameRate.FRAME_RATE_MEDIUM,
  // So many that a stage still runs when its first steps are reported.
  keyframes: { sampler: 0, steps: 30 },
  interpolation: { sampler: 0, steps: 30 },
};

let fleet: Fleet;
let client: TestClient;
let undisturbed: JobHistory;

beforeAll(async () => {
  fleet = await Fleet.start();
  await rememberResults(fleet.database.sql);
  client = testClient(fleet.gatewayAddresses[0]!);
  undisturbed = await disturbed(() => {});
  expect(undisturbed).toMatchObject({ state: 'succeeded', attempt: 1 });
});

afterAll(async () => {
  client.close();
  await fleet.stop();
});

/** Makes the video, calling `onStep` for every change, and returns the ended job. */
async function disturbed(onStep: (stage: Stage, step: number) => void): Promise<JobHistory> {
  const signal = timeLimit(500_000).signal;
  const { id } = await persist([client], ({ create }) => create(settings), signal);
  const changes = await follow([client], id, signal, ({ video }) => {
    const { stage, step } = video!.stages.at(-1) ?? { stage: Stage.STAGE_UNSPECIFIED, step: 0 };
    onStep(stage, step);
  });
  // Every change once and in order, whatever was killed.
  expect(changes.map(({ resumeToken }) => Number(resumeToken))).toEqual(changes.map((_, index) => index + 1));
  expect(changes.at(-1)!.video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, failure: undefined });
  let history: JobHistory | undefined;
  await eventually(async () => {
    history = await jobHistory(fleet.database.sql, id).catch(() => undefined);
    return history !== undefined;
  });
  return history!;
}

/** Kills it when the job has come to a step, and starts it again. */
async function killedAt(kind: ProcessKind, at: Stage, minStep: number): Promise<JobHistory> {
  let restarted: Promise<void> | undefined;
  const history = await disturbed((stage, step) => {
    if (stage === at && step >= minStep) {
      restarted ??= fleet.kill(kind).then(() => fleet.restart(kind));
    }
  });
  expect(restarted).toBeDefined();
  await restarted;
  return history;
}

/** Holds a stage before the job comes to it, and kills it while the job waits for it. */
async function killedOnArrival(kind: ServiceKind, at: Stage): Promise<JobHistory> {
  fleet.pause(kind);
  return await killedAt(kind, at, 0);
}

function expectUndisturbed(history: JobHistory): void {
  expect(history).toMatchObject({ state: 'succeeded', files: undisturbed.files, redone: [], disorder: [] });
}

test.each(stageNames)('the %s is killed while a job waits for it', async (name) => {
  const history = await killedOnArrival(name, stages[name].wire);
  expectUndisturbed(history);
  // The stage had not named its model yet, so the job waited for the next replica.
  expect(history.attempt).toBe(1);
});

test.each([
  ['keyframes', Stage.STAGE_KEYFRAMES, 2],
  ['interpolation', Stage.STAGE_INTERPOLATION, 1],
  ['inference', Stage.STAGE_KEYFRAMES, 1],
  ['inference', Stage.STAGE_INTERPOLATION, 1],
  ['gateway', Stage.STAGE_KEYFRAMES, 2],
  ['gateway', Stage.STAGE_INTERPOLATION, 1],
  ['gateway', Stage.STAGE_DECODER, 0],
] as const)('%s is killed in stage %s, from step %s on', async (kind, at, step) => {
  // A step may be reported so late that the stage is done and the killed process no longer needed.
  expectUndisturbed(await killedAt(kind, at, step));
});

test('PostgreSQL is killed, and the job continues unaffected', async () => {
  const history = await killedAt('postgres', Stage.STAGE_INTERPOLATION, 1);
  expectUndisturbed(history);
  expect(history.attempt).toBe(1);
});
