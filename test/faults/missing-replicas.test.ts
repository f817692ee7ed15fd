import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type TestClient, testClient } from '../../gateway/testing/gateway.ts';
import { FrameRate, JobState, Stage, type VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { eventually } from '../support/cli.ts';
import { Fleet } from '../support/fleet.ts';
import { follow, persist } from '../support/follow.ts';
import { jobHistory, rememberResults } from '../support/job-history.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../telemetry/otlp-receiver.ts';

const settings: Partial<VideoSettings> = {
  seed: 7n,
  frameRate: FrameRate.FRAME_RATE_MEDIUM,
  // So many that the stage still runs when its first steps are reported.
  keyframes: { sampler: 0, steps: 40 },
  interpolation: { sampler: 0, steps: 4 },
};

/** Time that a cluster may need to start the first replica of a stage scaled to zero. */
const startSeconds = 20;

let receiver: OtlpReceiver;
let fleet: Fleet;
let clients: TestClient[];

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  const gatewayEnvironment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
  fleet = await Fleet.start({ gateways: 2, gatewayEnvironment });
  await rememberResults(fleet.database.sql);
  clients = fleet.gatewayAddresses.map((address) => testClient(address));
});

afterAll(async () => {
  for (const { close } of clients) {
    close();
  }
  await fleet.stop();
  await receiver.stop();
});

test('a job waits for a stage without replicas, and continues when there is one', async () => {
  await fleet.kill('keyframes');
  const { id } = await clients[0]!.create({ ...settings, frameRate: FrameRate.FRAME_RATE_LOW });
  let started: Promise<void> | undefined;
  const changes = await follow(clients, id, timeLimit(500_000).signal, ({ video }) => {
    const latest = video!.stages.at(-1);
    if (latest?.stage === Stage.STAGE_KEYFRAMES && latest.waiting) {
      started ??= pause(startSeconds * 1000).then(() => fleet.restart('keyframes'));
    }
  });
  await started;
  const { video } = changes.at(-1)!;
  // It was not restarted, which a job may be only a few times.
  expect(video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 1 });
  expect(video!.stages.map(({ waiting }) => waiting)).toEqual([false, false, false]);
});

test('if one of two gateways on a database is killed, the other adopts its job', async () => {
  const signal = timeLimit(500_000).signal;
  const { id } = await clients[0]!.create(settings);
  let killed: Promise<{ survivor: number; at: number }> | undefined;
  let adopted: number | undefined;
  const changes = await follow(clients, id, signal, ({ video }) => {
    if (video!.attempt > 1) {
      adopted ??= performance.now();
    }
    const latest = video!.stages.at(-1);
    if (!killed && latest?.stage === Stage.STAGE_KEYFRAMES && latest.step >= 2) {
      fleet.pause('keyframes');
      killed = killWorker(id);
    }
  });
  const { survivor, at } = await killed!;
  console.log(`adopted ${((adopted! - at) / 1000).toFixed(1)} s after the kill`);
  expect(changes.map(({ resumeToken }) => Number(resumeToken))).toEqual(changes.map((_, index) => index + 1));
  expect(changes.at(-1)!.video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });

  // The survivor alone makes the same video.
  const again = await persist([clients[survivor]!], ({ create }) => create(settings), signal);
  await follow([clients[survivor]!], again.id, signal);
  const [disturbed, undisturbed] = await Promise.all(
    [id, again.id].map((each) => jobHistory(fleet.database.sql, each)),
  );
  expect(undisturbed).toMatchObject({ attempt: 1 });
  expect(disturbed).toMatchObject({ files: undisturbed!.files, redone: [], disorder: [] });
  await expectOneTrace(id);
});

async function killWorker(id: string): Promise<{ survivor: number; at: number }> {
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
  return { survivor: 1 - worker!, at };
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
