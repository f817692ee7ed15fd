import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { eventually } from '../../../../test/support/cli.ts';
import { connectAdmin } from '../../../client/index.ts';
import { stopTestServer } from '../../../testing/data.ts';
import { startTestGateway } from '../../../testing/gateway.ts';
import { type TestHttp, withHttp } from '../../../testing/http.ts';
import { untilAborted } from '../../../testing/stage-doubles.ts';

afterAll(stopTestServer);

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of all) {
    found.push(each);
  }
  return found;
}

type Headers = Record<string, string>;

function post({ send }: TestHttp, path: string, headers: Headers, body?: object) {
  return send(`/v1/admin/${path}`, { method: 'POST', headers, ...(body && { body }) });
}

async function read({ send }: TestHttp, path: string, headers: Headers) {
  return (await send(`/v1/admin/${path}`, { headers })).json;
}

/** A key created over HTTP. */
async function makeKey(http: TestHttp, operator: Headers, fields: object) {
  const { json } = await post(http, 'keys', operator, fields);
  return { ...json, headers: { authorization: `Bearer ${json.key}` } as Headers };
}

test('only operators create, change and revoke keys, and each action is recorded', () =>
  withHttp(
    async (http) => {
      const first = await post(http, 'keys', {}, { name: 'team' });
      expect(first).toMatchObject({ status: 400, json: { error: { param: 'scopes' } } });
      const boss = await makeKey(http, {}, { name: 'boss', scopes: ['read', 'admin'] });
      // The very first key takes effect within a moment.
      await eventually(async () => (await http.send('/v1/admin/keys')).status === 401);
      const team = await makeKey(http, boss.headers, {
        name: 'team',
        budgets: ['9-videos/day'],
        max_frames: 57,
        share: 3,
      });
      expect(team).toMatchObject({
        ...{ name: 'team', scopes: ['read', 'create'], share: 3, concurrent_jobs: 4, queued_jobs: 100 },
        ...{ requests_per_minute: 600, max_steps: 100, max_frames: 57, max_priority: 0, queued: 0, running: 0 },
        ...{ budgets: [{ budget: '9-videos/day', used: 0 }], last_used_at: null, revoked_at: null },
      });
      const { json: document } = await http.send('/openapi.json');
      for (const [path, methods] of Object.entries<object>(document.paths)) {
        for (const method of Object.keys(methods).filter((name) => path.startsWith('/v1/admin/') && name !== 'head')) {
          const { status, json } = await http.send(path, { method: method.toUpperCase(), headers: team.headers });
          expect([path, status, json.error.code]).toEqual([path, 403, 'missing_scope']);
        }
      }

      for (const [fields, param] of [
        [{}, 'name'],
        [{ name: 'a  b' }, 'name'],
        [{ name: 'x', scopes: ['write'] }, 'scopes'],
        [{ name: 'x', scopes: [] }, 'scopes'],
        [{ name: 'x', budgets: '5-videos' }, 'budgets'],
        [{ name: 'x', budgets: ['1-videos/day', '2-videos/day'] }, 'budgets'],
        [{ name: 'x', share: 0 }, 'share'],
        [{ name: 'x', max_priority: 101 }, 'max_priority'],
        [{ name: 'x', concurrent_jobs: 1.5 }, 'concurrent_jobs'],
        [{ name: 'x', limits: {} }, 'limits'],
      ] as const) {
        const { status, json } = await post(http, 'keys', boss.headers, fields);
        expect([fields, status, json.error.param]).toEqual([fields, 400, param]);
      }
      for (const [fields, given] of [
        [{ budgets: '1-videos/week' }, '"1-videos/week"'],
        [{ budgets: '1-videos/day,2-videos/day' }, '"1-videos/day,2-videos/day"'],
        [{ scopes: 'none' }, '"none"'],
        [{ budgets: ['1-videos/week'] }, '["1-videos/week"]'],
      ] as const) {
        const { json } = await post(http, `keys/${team.id}`, boss.headers, fields);
        expect(json.error.message.endsWith(` (got ${given})`)).toBe(true);
      }
      for (const id of ['0'.repeat(12), 'x', '%00']) {
        for (const path of [`keys/${id}`, `keys/${id}/revoke`]) {
          expect((await post(http, path, boss.headers)).status).toBe(path.endsWith('revoke') ? 404 : 400);
        }
        expect((await post(http, `keys/${id}`, boss.headers, { share: 2 })).status).toBe(404);
        expect((await http.send(`/v1/admin/keys?after=${id}`, { headers: boss.headers })).status).toBe(404);
      }

      const changed = await post(http, `keys/${team.id}`, boss.headers, { max_frames: 0, budgets: 'none', name: 'A' });
      expect(changed.json).toMatchObject({ name: 'A', max_frames: 0, budgets: [], share: 3 });
      expect((await post(http, `keys/${boss.id}`, boss.headers, { scopes: ['read'] })).json.error.code).toBe('own_key');
      expect((await post(http, `keys/${boss.id}/revoke`, boss.headers)).json.error.code).toBe('own_key');

      for (const same of [{}, { name: 'A', budgets: [], scopes: ['create', 'read'] }]) {
        // No action below.
        expect((await post(http, `keys/${team.id}`, boss.headers, same)).json).toMatchObject({ name: 'A' });
      }

      const { id } = await http.make({}, team.headers);
      const { queued, running } = await read(http, `keys/${team.id}`, boss.headers);
      expect(queued + running).toBe(1);
      const revoked = await post(http, `keys/${team.id}/revoke`, boss.headers);
      expect(revoked).toMatchObject({ status: 200, json: { cancelled: 1, queued: 0, revoked_at: expect.any(Number) } });
      const again = await post(http, `keys/${team.id}/revoke`, boss.headers);
      expect(again.json).toMatchObject({ cancelled: 0, revoked_at: revoked.json.revoked_at });
      expect((await http.send('/v1/videos', { headers: team.headers })).status).toBe(401);
      expect((await http.send(`/v1/videos/${id}`, { headers: boss.headers })).json.error.code).toBe('cancelled');
      const keys = await read(http, 'keys?limit=1', boss.headers);
      expect(keys).toMatchObject({ data: [{ id: boss.id }], has_more: false, last_id: boss.id });
      const all = await read(http, `keys?revoked=true&after=${boss.id}`, boss.headers);
      expect(all).toMatchObject({ data: [{ id: team.id, name: 'A' }], has_more: false });
      expect(JSON.stringify(all)).not.toContain(team.key.slice(16));

      const actions = await read(http, 'actions?limit=3', boss.headers);
      expect(actions).toMatchObject({
        has_more: true,
        data: [
          { action: 'key.revoke', target: team.id, key: boss.id, key_name: 'boss', details: { keep_jobs: false } },
          { action: 'key.update', details: { name: 'A', max_frames: 0, budgets: [] } },
          { action: 'key.create', target: team.id, details: { share: 3, max_frames: 57 } },
        ],
      });
      const before = await read(http, `actions?before=${actions.data[2].number}`, boss.headers);
      expect(before).toMatchObject({ data: [{ action: 'key.create', target: boss.id, key: '' }], has_more: false });

      const admin = connectAdmin({ baseUrl: http.base, apiKey: boss.key });
      const { key: text, ...made } = await admin.createKey({ name: 'typed', budgets: ['9-videos/day'], share: 2 });
      expect(made).toMatchObject({
        ...{ name: 'typed', share: 2, concurrentJobs: 4, lastUsedAt: null, createdAt: expect.any(Date) },
        budgets: [{ budget: '9-videos/day', used: 0, resetsAt: expect.any(Date) }],
      });
      expect(await admin.updateKey(made.id, { maxFrames: 15, budgets: [] })).toMatchObject({
        maxFrames: 15,
        budgets: [],
      });
      expect((await collect(admin.keys())).map(({ id }) => id)).toEqual([boss.id, made.id]);
      expect(await admin.key(made.id)).toMatchObject({ maxFrames: 15, queued: 0 });
      await expect(connectAdmin({ baseUrl: http.base, apiKey: text }).queue()).rejects.toMatchObject({
        reason: 'MISSING_SCOPE',
      });
      expect(await admin.revokeKey(made.id)).toMatchObject({ cancelled: 0, revokedAt: expect.any(Date) });
      admin.close();

      // Two operators cannot revoke each other.
      const others = [await makeKey(http, boss.headers, { name: 'x', scopes: ['admin'] })];
      others.push(await makeKey(http, boss.headers, { name: 'y', scopes: ['admin'] }));
      const attempts = others.map(({ id }, index) => post(http, `keys/${id}/revoke`, others[1 - index]!.headers));
      expect((await Promise.all(attempts)).map(({ status }) => status).sort()).toEqual([200, 401]);
      for (const each of others) {
        await post(http, `keys/${each.id}/revoke`, boss.headers);
      }
    },
    { concurrentJobs: 1, gatewayName: 'one', hooks: { encode: untilAborted } },
  ));

test('gateways are paused from any of them, across restarts, and waiting videos are raised', () =>
  withHttp(
    async (http) => {
      const address = http.stages.address;
      const other = () => startTestGateway(http.data, address, { concurrentJobs: 1, gatewayName: 'two:50050' });
      let two = await other();
      try {
        const modes = async () =>
          (await read(http, 'gateways', {})).data.map((each: Record<string, unknown>) => [
            each.name,
            each.mode,
            each.alive,
          ]);
        expect(await modes()).toEqual([
          ['one', 'active', true],
          ['two:50050', 'active', true],
        ]);
        expect((await post(http, 'gateways/three/pause', {})).json.error.code).toBe('no_such_gateway');
        expect((await post(http, 'gateways/%00/drain', {})).status).toBe(404);
        for (const name of ['one', 'two:50050']) {
          for (const _ of ['once', 'again']) {
            expect((await post(http, `gateways/${name}/pause`, {})).json).toMatchObject({ name, mode: 'paused' });
          }
        }
        expect((await read(http, 'actions', {})).data).toHaveLength(2);
        await two.stop();
        two = await other();
        // It reads its mode before it claims jobs.
        const waiting = [await http.make(), await http.make({ priority: -5 }), await http.make()];
        const ready = () => http.send('/readyz');
        await eventually(async () => (await ready()).json.checks.gateway === 'paused');
        expect((await ready()).status).toBe(200);
        expect(await read(http, 'queue', {})).toMatchObject({
          data: [{ key: '', queued: 3, running: 0, held_by: null }],
        });

        const [, second, third] = waiting;
        for (const [id, body, param] of [
          [third!.id, { priority: 101 }, 'priority'],
          [third!.id, {}, 'priority'],
          ['video_x', { priority: 1 }, 'id'],
        ] as const) {
          expect((await post(http, `videos/${id}/priority`, {}, body)).json.error.param).toBe(param);
        }
        const raised = await post(http, `videos/${second!.id}/priority`, {}, { priority: 100 });
        expect(raised.json).toMatchObject({
          priority_by: { key: '', before: -5 },
          video: { priority: 100, status: 'queued' },
        });
        const page = await read(http, 'videos?limit=2', {});
        expect(page).toMatchObject({ has_more: true, data: [{ gateway: null }, { video: { id: second!.id } }] });
        expect(await read(http, `videos?after=${page.last_id}&key=none`, {})).toMatchObject({
          data: [{ video: { id: third!.id } }],
          has_more: false,
        });

        // The same through the client.
        const admin = connectAdmin({ baseUrl: http.base });
        const all = await collect(admin.videos({ key: null }));
        expect(all).toMatchObject([
          { gateway: null, priorityBy: null, video: { id: waiting[0]!.id, state: 'queued' } },
          { priorityBy: { key: '', before: -5 }, changedAt: expect.any(Date), video: { priority: 100 } },
          { keyName: '', video: { id: third!.id, createdAt: expect.any(Date) } },
        ]);
        expect(await admin.queue()).toMatchObject([{ key: '', queued: 3, oldestAt: expect.any(Date), heldBy: null }]);
        expect((await admin.setPriority(third!.id, -7)).video.priority).toBe(-7);
        await expect(admin.setPriority(third!.id, 101)).rejects.toMatchObject({ field: 'priority' });
        await expect(admin.pause('three')).rejects.toMatchObject({ code: Status.NOT_FOUND, reason: 'NO_SUCH_GATEWAY' });
        expect(await admin.resume('two:50050')).toMatchObject({ mode: 'active', modeSince: expect.any(Date) });
        expect((await admin.gateways()).map(({ name, alive }) => [name, alive])).toContainEqual(['two:50050', true]);
        expect(await collect(admin.actions())).toContainEqual(
          expect.objectContaining({ action: 'video.priority', target: third!.id, at: expect.any(Date) }),
        );
        expect(await admin.failures()).toEqual([]);
        admin.close();
        await eventually(async () => (await read(http, 'videos?status=in_progress', {})).data.length === 1);
        const running = (await read(http, 'videos?status=in_progress', {})).data[0];
        expect(running).toMatchObject({
          gateway: 'two:50050',
          video: { id: second!.id },
          changed_at: expect.any(Number),
        });
        expect((await post(http, `videos/${second!.id}/priority`, {}, { priority: 1 })).json.error.code).toBe(
          'wrong_state',
        );
        await post(http, 'gateways/one/drain', {});
        await eventually(async () => (await ready()).status === 503);
        expect((await ready()).json.checks.gateway).toBe('draining');
        expect(http.server.isReady()).toBe(false);
        expect((await read(http, 'gateways', {})).data).toMatchObject([{ running: 0 }, { running: 1 }]);
        await two.stop();
        expect(await modes()).toEqual([['one', 'draining', true]]);

        await http.data.database.sql`
        update jobs set state = 'failed', finished_at = now(), failure = '{"code": "INTERNAL", "errorReason": "NO_PROGRESS",
          "reason": "It hung", "stage": "keyframes", "attempt": 1}' where id = ${third!.id}`;
        const failures = await read(http, 'failures', {});
        expect(failures.data).toEqual([
          {
            ...{ object: 'admin.failure', reason: 'no_progress', model: 'nano', count: 1, keys: 1 },
            ...{ last_at: expect.any(Number), last_video: third!.id, stage: 'keyframes', message: 'It hung' },
          },
        ]);
        expect((await read(http, 'failures?to=2001-01-01', {})).data).toEqual([]);
        expect((await read(http, 'failures?from=2002-01-01&to=2001-01-01', {})).error.param).toBe('to');
      } finally {
        await two.stop();
      }
    },
    { concurrentJobs: 1, gatewayName: 'one', hooks: { encode: untilAborted } },
  ));
