import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import { FrameRate, JobState, Stage, type VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { stageNames, stages } from '../../services/pipeline/stages.ts';
import { eventually } from '../support/cli.ts';
import { Fleet, type ProcessKind } from '../support/fleet.ts';
import { follow, persist } from '../support/follow.ts';
import { type JobHistory, jobHistory, rememberResults } from '../support/job-history.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../telemetry/otlp-receiver.ts';

const settings: Partial<VideoSettings> = {
  seed: 7n,
  frameRate: FrameRate.FRAME_RATE_MEDIUM,
  // So many that a stage still runs when its first steps are reported.
  keyframes: { sampler: 0, steps: 30 },
  interpolation: { sampler: 0, steps: 30 },
};

/** Time that a cluster may need to start the first replica of a stage scaled to zero. */
const startSeconds = 20;

let receiver: OtlpReceiver;
let fleet: Fleet;
let client: TestClient;
let undisturbed: JobHistory;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  const gatewayEnvironment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
  fleet = await Fleet.start({ gatewayEnvironment });
  await rememberResults(fleet.database.sql);
  client = testClient(fleet.gatewayAddresses[0]!);
  undisturbed = await disturbed(() => {});
  expect(undisturbed).toMatchObject({ state: 'succeeded', attempt: 1 });
});

afterAll(async () => {
  client.close();
  await fleet.stop();
  await receiver.stop();
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

/** A process to be killed when the job has come to a step of a stage. */
interface Kill {
  kind: ProcessKind;
  at: Stage;
  step: number;
}

/** Makes the video, kills every process when the job has come to its step, and starts it again. */
async function killed(...kills: readonly Kill[]): Promise<JobHistory> {
  const restarts = new Map<Kill, Promise<void>>();
  const history = await disturbed((stage, step) => {
    for (const kill of kills.filter((each) => each.at === stage && step >= each.step && !restarts.has(each))) {
      restarts.set(
        kill,
        fleet.kill(kill.kind).then(() => fleet.restart(kill.kind)),
      );
    }
  });
  await Promise.all(restarts.values());
  expect(restarts.size).toBe(kills.length);
  return history;
}

function expectUndisturbed(history: JobHistory): void {
  expect(history).toMatchObject({ state: 'succeeded', files: undisturbed.files, redone: [], disorder: [] });
}

test('every stage is killed while a job waits for it, and PostgreSQL while one computes', async () => {
  for (const name of stageNames) {
    fleet.pause(name);
  }
  const onArrival = stageNames.map((name): Kill => ({ kind: name, at: stages[name].wire, step: 0 }));
  const history = await killed(...onArrival, { kind: 'postgres', at: Stage.STAGE_INTERPOLATION, step: 1 });
  expectUndisturbed(history);
  // The stages had not named their models yet, so the job waited for the next replicas.
  expect(history.attempt).toBe(1);
});

// A step may be reported so late that the stage is done and the killed process no longer needed.
test.each<[string, Kill[]]>([
  [
    'the stages between their steps, and the gateway before the last stage',
    [
      { kind: 'keyframes', at: Stage.STAGE_KEYFRAMES, step: 2 },
      { kind: 'interpolation', at: Stage.STAGE_INTERPOLATION, step: 1 },
      { kind: 'gateway', at: Stage.STAGE_DECODER, step: 0 },
    ],
  ],
  [
    'the gateway and the inference server between steps',
    [
      { kind: 'gateway', at: Stage.STAGE_KEYFRAMES, step: 2 },
      { kind: 'inference', at: Stage.STAGE_INTERPOLATION, step: 1 },
    ],
  ],
])('a job survives the end of %s', async (_, kills) => {
  expectUndisturbed(await killed(...kills));
});

test('a job waits for a stage without replicas, and continues when there is one', async () => {
  await fleet.kill('keyframes');
  let restarted: Promise<void> | undefined;
  const signal = timeLimit(500_000).signal;
  const { id } = await client.create({ ...settings, frameRate: FrameRate.FRAME_RATE_LOW });
  const changes = await follow([client], id, signal, ({ video }) => {
    const latest = video!.stages.at(-1);
    if (latest?.stage === Stage.STAGE_KEYFRAMES && latest.waiting) {
      restarted ??= pause(startSeconds * 1000).then(() => fleet.restart('keyframes'));
    }
  });
  await restarted;
  const { video } = changes.at(-1)!;
  // It was not restarted, which a job may be only a few times.
  expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
  expect(video!.stages.map(({ waiting }) => waiting)).toEqual([false, false, false]);
});

describe('of two gateways on a database', () => {
  let clients: TestClient[];
  beforeAll(async () => {
    clients = [client, testClient(await fleet.addGateway())];
  });
  afterAll(() => clients[1]!.close());

  test('one is killed, and the other adopts its job', async () => {
    const { id } = await client.create(settings);
    let killed: Promise<number> | undefined;
    let adopted: number | undefined;
    const changes = await follow(clients, id, timeLimit(500_000).signal, ({ video }) => {
      if (video!.attempt > 1) {
        adopted ??= performance.now();
      }
      const latest = video!.stages.at(-1);
      if (!killed && latest?.stage === Stage.STAGE_KEYFRAMES && latest.step >= 2) {
        fleet.pause('keyframes');
        killed = killWorker(id);
      }
    });
    console.log(`adopted ${((adopted! - (await killed!)) / 1000).toFixed(1)} s after the kill`);
    expect(changes.map(({ resumeToken }) => Number(resumeToken))).toEqual(changes.map((_, index) => index + 1));
    expect(changes.at(-1)!.video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
    expectUndisturbed((await jobHistory(fleet.database.sql, id))!);
    await expectOneTrace(id);
  });
});

/** Kills the gateway that works on a job; resolves with the moment. */
async function killWorker(id: string): Promise<number> {
  let worker: number | undefined;
  await eventually(async () => {
    worker = await fleet.gatewayOf(id);
    return worker !== undefined;
  });
  // Spans that were exported are not lost with it.
  await eventually(() => stageSpansOf(id).length > 0);
  const at = performance.now();
  await fleet.kill('gateway', worker!);
  fleet.resume('keyframes');
  return at;
}

/** Stages that have ended in the attempts of a job. */
function stageSpansOf(id: string) {
  const traces = new Set(
    receiver.spans.filter(({ attributes }) => attributes['fusionframes.job.id'] === id).map(({ traceId }) => traceId),
  );
  return receiver.spans.filter(({ name, traceId }) => name === 'fusionframes.stage' && traces.has(traceId));
}

/**
 * The successor's part of the job's trace is linked to the dead gateway's, whose spans have a parent that was never
 * ended.
 */
async function expectOneTrace(id: string): Promise<void> {
  const attempts = () =>
    receiver.spans.filter(
      ({ name, attributes }) => name === 'fusionframes.job' && attributes['fusionframes.job.id'] === id,
    );
  await eventually(() => attempts().length > 0);
  const [heir, ...others] = attempts();
  expect(others).toEqual([]);
  expect(heir!.attributes).toMatchObject({ 'fusionframes.job.attempt': 2, 'fusionframes.job.outcome': 'succeeded' });
  const stages = stageSpansOf(id);
  expect(stages.map(({ attributes }) => attributes['fusionframes.stage'])).toEqual(stageNames);
  const [beforeTheKill, ...after] = stages;
  expect(heir!.links).toEqual([`${heir!.traceId}/${beforeTheKill!.parentId}`]);
  expect(beforeTheKill!.parentId).not.toBe(heir!.id);
  expect(new Set(after.map(({ parentId }) => parentId))).toEqual(new Set([heir!.id]));
}
