import { afterAll, expect, test } from '@jest/globals';
import { FrameRate, JobState } from '../../proto/gen/fusionframes/v1/video.ts';
import { deferred } from '../../services/kit/deferred.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, type TestClient, testClient } from '../testing/gateway.ts';
import { startStageDoubles, untilAborted } from '../testing/stage-doubles.ts';

afterAll(stopTestServer);

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
