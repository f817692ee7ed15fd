import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { deferred } from '../../../services/kit/deferred.ts';
import { withTemporaryFolder } from '../../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../../services/kit/testing/test-scope.ts';
import { servedByEngines } from '../../../services/pipeline/frame-sizes.ts';
import { forEachStage } from '../../../services/pipeline/stages.ts';
import { eventually } from '../../../test/support/cli.ts';
import type { ModelRoute } from '../../models/model-route.ts';
import type { Routes } from '../../models/models.ts';
import type { FileRoutes } from '../../models/read-routes.ts';
import { RoutesFile } from '../../models/routes-file.ts';
import { stopTestServer } from '../../testing/data.ts';
import { startTestGateway, testRoute } from '../../testing/gateway.ts';
import { type TestHttp, withHttp } from '../../testing/http.ts';
import { plainPicture } from '../../testing/pictured.ts';
import { startStageDoubles, untilAborted } from '../../testing/stage-doubles.ts';
import type { ModelObject } from './model-routes.ts';

const scope = scopeOfEachTest();
afterAll(stopTestServer);

/** Port 1 of this machine, where nothing listens. */
const unserved = '127.0.0.1:1';
const nano = testRoute(unserved).preset;
const other = { ...nano, name: 'other' };

const modelsOf = async ({ send }: TestHttp): Promise<ModelObject[]> => (await send('/v1/models')).json.data;

test('one gateway serves several models and versions, each on its own stages', async () => {
  let encoded = 0;
  const canary = await scope.open(() => startStageDoubles({ encode: async () => void encoded++ }));
  const stable = await scope.open(() => startStageDoubles());
  const routes: [ModelRoute, ...ModelRoute[]] = [
    testRoute(stable.address, { version: '1' }),
    testRoute(canary.address, { version: '2', weight: 0 }),
    testRoute(stable.address, { version: 'ink', loras: [{ name: 'ink', scale: 0.8 }] }),
    testRoute(unserved, { preset: servedByEngines(other) }),
  ];
  await withHttp(
    async (http) => {
      expect(await modelsOf(http)).toMatchObject([
        { id: 'nano', status: 'ready', share: 1 },
        { id: 'nano@1', status: 'ready', share: 1 },
        { id: 'nano@2', status: 'ready', share: 0, lora: [] },
        { id: 'nano@ink', status: 'ready', share: 1, lora: [{ name: 'ink', scale: 0.8 }] },
        { id: 'other', status: 'not_ready', share: 1 },
      ]);
      expect((await http.send('/v1/presets')).json.data).toMatchObject([
        { id: 'nano', given_keyframes: { min: 2, max: 15 }, loras: [[{ name: 'ink', scale: 0.8 }]] },
        { id: 'other', size: { allowed: ['128x128'] }, given_keyframes: { min: 15, max: 15 }, loras: [] },
      ]);
      const picture = `data:image/png;base64,${(await plainPicture('#f00')).toString('base64')}`;
      const few = { prompt: 'x', model: 'other', keyframes: [picture, picture] };
      expect((await http.send('/v1/videos', { method: 'POST', body: few })).json.error.message).toBe(
        '`keyframes` must be 15 frames, for which the engines were compiled, as many as other has keyframes (got 2)',
      );
      expect(await http.send('/readyz')).toMatchObject({
        status: 200,
        json: { status: 'ready', checks: { 'nano@1/decoder': 'ok', 'other/decoder': 'unavailable' } },
      });

      // One place per gateway, which the other model's videos do not take.
      const waiting = await http.make({ model: 'other' });
      expect(waiting).toMatchObject({ model: 'other', status: 'queued' });
      const first = await http.make({ model: 'nano' });
      expect(await http.ended(first.id)).toMatchObject({ status: 'completed', model: 'nano@1' });
      expect(encoded).toBe(0);
      const second = await http.make({ model: 'nano@2' });
      expect(await http.ended(second.id)).toMatchObject({ status: 'completed', model: 'nano@2' });
      expect(encoded).toBe(1);
      expect((await http.client.getVideo({ id: second.id })).video).toMatchObject({ model: 'nano@2' });
      expect((await http.create({}, '', { model: 'nano' })).model).toBe('nano@1');
      expect((await http.client.listModels({})).models.slice(3)).toMatchObject([
        { id: 'nano@ink', lora: [{ name: 'ink', scale: 0.8 }] },
        { id: 'other', ready: false, running: 1 },
      ]);

      const inked = await http.make({ lora: 'ink' });
      expect(await http.ended(inked.id)).toMatchObject({ status: 'completed', model: 'nano@ink' });
      expect((await http.make({ lora: [{ name: 'ink', scale: 0.8 }] })).model).toBe('nano@ink');
      expect((await http.create({}, '', { lora: [{ name: 'ink' }] })).model).toBe('nano@ink');
      for (const lora of ['ink:0.5', [{ name: 'ink', scale: 0.5 }]]) {
        expect(await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', lora } })).toMatchObject({
          status: 400,
          json: { error: { param: 'lora', message: '`lora` must be ink:0.8 (got "ink:0.5")' } },
        });
      }
      expect(await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', lora: 'ink:' } })).toMatchObject({
        status: 400,
        json: { error: { param: 'lora', message: expect.stringContaining('must be a list of at most 10 objects of') } },
      });

      const levels = await http.data.database.sql`select distinct required_level as level from jobs`;
      expect(levels).toMatchObject([{ level: 1 }]);

      const unknown = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', model: 'nano@9' } });
      expect(unknown).toMatchObject({
        status: 404,
        json: { error: { message: '`model` "nano@9" not found; available: nano, nano@1, nano@2, nano@ink, other' } },
      });
      expect((await http.send('/v1/models/nano@9')).status).toBe(404);
      await http.send(`/v1/videos/${waiting.id}/cancel`, { method: 'POST' });
    },
    { routes, concurrentJobs: 1 },
  );
});

test('a version that drains finishes its videos, and one that is gone fails them', async () => {
  const hung = await scope.open(() => startStageDoubles({ keyframes: (_, signal) => untilAborted(signal) }));
  const stages = await scope.open(() => startStageDoubles());
  const [one, two] = ['1', '2'].map((version) => testRoute(stages.address, { version }));
  const ink = testRoute(stages.address, { version: 'ink', loras: [{ name: 'ink', scale: 0.8 }] });
  await withHttp(
    async (http) => {
      const old = await http.make({}, { 'idempotency-key': 'old' });
      const lost = await http.make({ model: 'nano@1' }, { 'idempotency-key': 'lost' });
      await http.untilRunning(old.id);
      await http.server.stop();

      const draining = await scope.open(() =>
        startTestGateway(http.data, stages.address, {
          httpAddress: http.server.httpAddress!,
          routes: [two!, ink, { ...one!, isDraining: true }],
        }),
      );
      expect(await http.ended(old.id)).toMatchObject({ status: 'completed', model: 'nano@1' });
      expect(await http.ended(lost.id)).toMatchObject({ status: 'completed', model: 'nano@1' });
      expect(await modelsOf(http)).toMatchObject([
        { id: 'nano', status: 'ready' },
        { id: 'nano@2', status: 'ready', share: 1 },
        { id: 'nano@ink', status: 'ready', share: 1 },
        { id: 'nano@1', status: 'draining', share: 0, jobs: { queued: 0, running: 0 } },
      ]);
      expect(await http.make({}, { 'idempotency-key': 'old' })).toMatchObject({ id: old.id });
      expect(await http.make({ model: 'nano@1' }, { 'idempotency-key': 'lost' })).toMatchObject({ id: lost.id });
      expect(await http.make()).toMatchObject({ model: 'nano@2' });
      const remix = (id: string) =>
        http.send(`/v1/videos/${id}/remix`, { method: 'POST', body: { prompt: 'a blue square' } });
      expect((await remix(old.id)).json).toMatchObject({ model: 'nano@2', remixed_from_video_id: old.id });
      const refused = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', model: 'nano@1' } });
      expect(refused).toMatchObject({
        status: 400,
        json: { error: { param: 'model', code: 'model_draining' } },
      });
      expect(await http.send(`/v1/videos/${old.id}/finish`, { method: 'POST' })).toMatchObject({
        status: 400,
        json: { error: { param: 'id', code: 'model_draining' } },
      });
      const inked = await http.make({ lora: 'ink' });
      expect(inked.lora).toEqual([{ name: 'ink', scale: 0.8 }]);
      expect((await http.ended(inked.id)).status).toBe('completed');
      expect((await remix(inked.id)).json).toMatchObject({ model: 'nano@ink', lora: inked.lora });
      await draining.stop();

      const { sql } = http.data.database;
      await sql`update jobs set state = 'queued', finished_at = null, stages = '[]' where id = ${lost.id}`;
      await sql`update model_routes set served_at = now() - interval '1 hour' where version = '1'`;
      const without = await scope.open(() =>
        startTestGateway(http.data, stages.address, {
          httpAddress: http.server.httpAddress!,
          routes: [two!],
        }),
      );
      expect(await http.ended(lost.id)).toMatchObject({
        status: 'failed',
        model: 'nano@1',
        error: { code: 'no_route', message: 'No gateway has had a route to the model nano@1 for 600 seconds' },
      });
      const finish = await http.send(`/v1/videos/${old.id}/finish`, { method: 'POST', body: { frame_rate: 'low' } });
      expect(finish).toMatchObject({
        status: 400,
        json: {
          error: {
            param: 'id',
            code: 'no_such_model',
            message: `nano@1, the model of ${old.id}, is no longer served; new videos may use nano or nano@2`,
          },
        },
      });
      expect((await remix(old.id)).json).toMatchObject({ model: 'nano@2' });
      for (const [path, body] of [
        ['remix', { prompt: 'a blue square' }],
        ['finish', {}],
      ] as const) {
        const { status, json } = await http.send(`/v1/videos/${inked.id}/${path}`, { method: 'POST', body });
        expect([status, json.error.param]).toEqual([400, 'id']);
        expect(json.error.message).toMatch(
          path === 'remix'
            ? `No version of nano has ink:0.8 any more, with which ${inked.id} was made`
            : `nano@ink, the model of ${inked.id}, is no longer served; new videos may use nano or nano@2`,
        );
      }
      await without.stop();
    },
    { routes: [testRoute(hung.address, { version: '1' })] },
  );
}, 60_000);

test('routes change while the gateway runs; invalid ones change nothing', async () => {
  const released = deferred<void>();
  const first = await scope.open(() => startStageDoubles({ keyframes: () => released.promise }));
  const second = await scope.open(() => startStageDoubles());
  await withTemporaryFolder(async (folder) => {
    const path = join(folder, 'routes.json');
    // Replaced in one step, as operators should.
    const write = async (content: unknown) => {
      await writeFile(`${path}.new`, JSON.stringify(content));
      await rename(`${path}.new`, path);
    };
    const routeTo = ({ address }: { address: string }, version: string, more = {}) => {
      return { preset: 'nano', version, stages: forEachStage(() => address), ...more };
    };
    await write({ routes: [routeTo(first, '1')] });
    const complete = async (found: FileRoutes) => found.map((route) => ({ ...route, warnings: [] })) as never as Routes;
    const file = await RoutesFile.open({ path, setting: 'FUSIONFRAMES_ROUTES', complete, seconds: 0.05 });
    const ids = async (http: TestHttp) => (await modelsOf(http)).map(({ id, status }) => `${id} ${status}`).join();
    await withHttp(
      async (http) => {
        expect(await ids(http)).toBe('nano ready,nano@1 ready');
        const old = await http.make();
        await http.untilRunning(old.id);

        await write({ routes: [routeTo(second, '2'), routeTo(first, '1', { draining: true })] });
        await eventually(async () => (await ids(http)) === 'nano ready,nano@2 ready,nano@1 draining');
        const made = await http.make();
        expect(await http.ended(made.id)).toMatchObject({ status: 'completed', model: 'nano@2' });

        await write({ routes: [routeTo(second, '2', { weight: -1 })] });
        await eventually(async () => file.isInvalid);
        expect(await ids(http)).toBe('nano ready,nano@2 ready,nano@1 draining');

        await write({ routes: [routeTo(second, '2')] });
        await eventually(async () => (await ids(http)) === 'nano ready,nano@2 ready');
        expect(file.isInvalid).toBe(false);
        // A video of a removed version keeps its stages to its end.
        released.resolve();
        expect(await http.ended(old.id)).toMatchObject({ status: 'completed', model: 'nano@1' });
      },
      { routes: file.routes, routeChanges: file },
    );
  });
}, 60_000);
