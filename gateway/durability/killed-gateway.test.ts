import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { JobState, type WatchVideoResponse } from '../../proto/gen/fusionframes/v1/video.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, type TestClient, testClient } from '../testing/gateway.ts';
import { spawnGateway } from '../testing/gateway-process.ts';
import { startStageDoubles, untilAborted } from '../testing/stage-doubles.ts';
import { disturbedSettings, expireLeases, standstillOnce, undisturbedVideo, videoOf } from '../testing/standstill.ts';

afterAll(stopTestServer);

describe('a gateway that is killed', () => {
  test.each([
    ['keyframes', { encode: 1, keyframes: 2, interpolation: 1, decoder: 1 }],
    ['interpolation', { encode: 1, keyframes: 1, interpolation: 2, decoder: 1 }],
    ['decoder', { encode: 1, keyframes: 1, interpolation: 1, decoder: 2 }],
  ] as const)(
    'while %s works: another one continues after the last recorded stage, to the same video',
    (stage, counts) =>
      withData(async (data) => {
        const { hooks, begun, reached } = standstillOnce(stage);
        const stages = await startStageDoubles(hooks);
        const doomed = await spawnGateway(data, stages.address);
        const { id } = await doomed.create(disturbedSettings);
        await reached;
        await doomed.kill();
        const server = await startTestGateway(data, stages.address);
        const heir = testClient(server.address);
        await expireLeases(data);
        const end = (await heir.watch(id)).at(-1)!;
        expect(end).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2, failure: undefined });
        expect(begun).toEqual(counts);
        expect(await videoOf(heir, id)).toBe(await undisturbedVideo());
        heir.close();
        await server.stop();
        await stages.stop();
      }),
  );

  test('has its job adopted even though the other gateway is busy', () =>
    withData(async (data) => {
      const { hooks, reached } = standstillOnce('keyframes');
      const stages = await startStageDoubles(hooks);
      const doomed = await spawnGateway(data, stages.address);
      const { id } = await doomed.create(disturbedSettings);
      await reached;
      const full = await startStageDoubles({ ...hooks, encode: untilAborted });
      const stageAddresses = { ...forEachStage(() => stages.address), 'text-encoder': full.address };
      await doomed.kill();
      const server = await startTestGateway(data, stages.address, { stageAddresses, concurrentJobs: 1 });
      const heir = testClient(server.address);
      const stuck = await heir.create(disturbedSettings);
      const waiting = await heir.create(disturbedSettings);
      await heir.untilRunning(stuck.id);
      await expireLeases(data);
      expect((await heir.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
      const stateOf = async (of: string) => (await heir.client.getVideo({ id: of })).video!.state;
      expect(await stateOf(stuck.id)).toBe(JobState.JOB_STATE_RUNNING);
      expect(await stateOf(waiting.id)).toBe(JobState.JOB_STATE_QUEUED);
      heir.close();
      await server.stop();
      await stages.stop();
      await full.stop();
    }));

  test('leaves no temporary files once another one has started', () =>
    withData(async (data) => {
      const { address, stop } = await startStageDoubles();
      const doomed = await spawnGateway(data, address);
      const left = async () => (await readdir(tmpdir())).filter((name) => name.includes(`-${doomed.process.pid}-`));
      await doomed.kill();
      expect(await left()).not.toEqual([]);
      const heir = await spawnGateway(data, address);
      expect(await left()).toEqual([]);
      await heir.kill();
      await stop();
    }));

  test('neither loses nor duplicates events of a watch that continues at another one', () =>
    withData(async (data) => {
      const { hooks, reached } = standstillOnce('interpolation');
      const stages = await startStageDoubles(hooks);
      const doomed = await spawnGateway(data, stages.address);
      const { id } = await doomed.create(disturbedSettings);
      const seen: WatchVideoResponse[] = [];
      const follow = async ({ client }: TestClient) => {
        for await (const change of client.watchVideo({ id, resumeToken: seen.at(-1)?.resumeToken ?? '' })) {
          seen.push(change);
        }
      };
      const broken = follow(doomed);
      broken.catch(() => {});
      await reached;
      await doomed.kill();
      await expect(broken).rejects.toMatchObject({ code: expect.any(Number) });
      const server = await startTestGateway(data, stages.address);
      const heir = testClient(server.address);
      await expireLeases(data);
      await follow(heir);
      const last = seen.at(-1)!;
      expect(last.video!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
      const tokens = seen.map(({ resumeToken }) => Number(resumeToken));
      expect(tokens).toEqual(Array.from({ length: tokens.length }, (_, index) => tokens[0]! + index));
      // Nothing is left after the last one, and a token from nowhere is refused.
      seen.push(last);
      const before = seen.length;
      await follow(heir);
      expect(seen).toHaveLength(before);
      for (const resumeToken of ['999', 'x', '-1']) {
        await expect(heir.client.watchVideo({ id, resumeToken })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
          code: Status.INVALID_ARGUMENT,
          field: 'resume_token',
        });
      }
      heir.close();
      await server.stop();
      await stages.stop();
    }));
});

test('a paused gateway that wakes up after losing its job changes nothing', () =>
  withData(async (data) => {
    const { hooks, reached, left } = standstillOnce('keyframes');
    const stages = await startStageDoubles(hooks);
    const paused = await spawnGateway(data, stages.address);
    const { id } = await paused.create(disturbedSettings);
    await reached;
    paused.process.kill('SIGSTOP');
    const server = await startTestGateway(data, stages.address);
    const heir = testClient(server.address);
    await expireLeases(data);
    expect((await heir.watch(id)).at(-1)!.state).toBe(JobState.JOB_STATE_SUCCEEDED);
    const state = () => data.database.sql`
      select jobs.*, (select count(*) from job_events) as events from jobs where id = ${id}`;
    const before = await state();
    const objects = await data.objectKeys((key) => !key.includes('/results/'));
    paused.process.kill('SIGCONT');
    // Its next renewal shows that it has lost the job.
    await left;
    await paused.client.getVideo({ id });
    expect(await state()).toEqual(before);
    expect(await data.objectKeys()).toEqual(objects);
    await paused.kill();
    heir.close();
    await server.stop();
    await stages.stop();
  }));
