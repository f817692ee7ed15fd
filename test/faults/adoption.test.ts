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
  keyframes: { sampler: 0, steps: 30 },
  interpolation: { sampler: 0, steps: 4 },
};

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
    if (latest?.stage === Stage.STAGE_KEYFRAMES && latest.step >= 2) {
      killed ??= killWorker(id);
    }
  });
  const { survivor, at } = await killed!;
  console.log(`adopted ${((adopted! - at) / 1000).toFixed(1)} s after the kill`);
  expect(changes.map(({ resumeToken }) => Number(resumeToken))).toEqual(changes.map((_, index) => index + 1));
  expect(changes.at(-1)!.video).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });

  // What the dead one wrote before is as good as its heir's: the survivor alone makes the same video.
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
  // What was sent is not lost with it.
  await eventually(() => stageSpansOf(id).length > 0);
  const at = performance.now();
  await fleet.kill('gateway', worker!);
  return { survivor: 1 - worker!, at };
}

/** Stages that have ended in the attempts of a job. */
function stageSpansOf(id: string) {
  const traces = new Set(
    receiver.spans.filter(({ attributes }) => attributes['fusionframes.job.id'] === id).map(({ traceId }) => traceId),
  );
  return receiver.spans.filter(({ name, traceId }) => name === 'fusionframes.stage' && traces.has(traceId));
}

/** The heir's part of the job's trace is linked to the dead one's, whose spans hang below one that it never ended. */
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
