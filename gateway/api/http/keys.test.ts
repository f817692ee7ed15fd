import { afterAll, expect, test } from '@jest/globals';
import { ApiKeys } from '../../keys/api-keys.ts';
import { type CallerLimits, type Scope, scopes } from '../../keys/caller.ts';
import { stopTestServer } from '../../testing/data.ts';
import { type TestHttp, withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';

afterAll(stopTestServer);

async function makeKey({ data }: TestHttp, allowed: Scope[], caps: Partial<CallerLimits> = {}) {
  const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0, ...caps };
  const { key, text } = await new ApiKeys(data.database.sql).create({ name: 'test', scopes: allowed, limits });
  return { id: key.id, headers: { authorization: `Bearer ${text}` } };
}

test('without a valid key, only public information is available', () =>
  withHttp(async (http) => {
    const { headers } = await makeKey(http, ['read', 'create']);
    const { id } = await http.make({}, headers);
    const secret = headers.authorization.slice(-43);
    // The very first key takes effect within a few seconds.
    while ((await http.send('/v1/presets')).status !== 401) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const authorization of [
      undefined,
      'Bearer none',
      `Basic ${secret}`,
      headers.authorization.replace(secret, 'x'.repeat(43)),
      headers.authorization.slice(0, -1),
    ]) {
      for (const [method, path] of [
        ['POST', '/v1/videos'],
        ['GET', '/v1/videos'],
        ['GET', `/v1/videos/${id}`],
        ['DELETE', `/v1/videos/${id}`],
        ['POST', `/v1/videos/${id}/cancel`],
        ['GET', `/v1/videos/${id}/events`],
        ['GET', `/v1/videos/${id}/content`],
        ['GET', '/v1/presets'],
      ] as const) {
        const answer = await http.send(path, { method, headers: authorization === undefined ? {} : { authorization } });
        expect([path, answer.status, answer.json.error.type]).toEqual([path, 401, 'authentication_error']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
        expect(JSON.stringify(answer.json)).not.toContain(secret);
      }
    }
    for (const path of ['/healthz', '/readyz', '/openapi.json', '/']) {
      expect((await fetch(`${http.base}${path}`)).status).toBe(200);
    }
  }));

test('a key may do what its scopes allow, with its own videos', () =>
  withHttp(async (http) => {
    const owner = await makeKey(http, ['read', 'create']);
    const reader = await makeKey(http, ['read']);
    const maker = await makeKey(http, ['create']);
    const admin = await makeKey(http, [...scopes]);
    const { id } = await http.make({}, owner.headers);
    await http.ended(id, owner.headers);
    const status = async (path: string, { headers }: typeof owner, method = 'GET') =>
      (await http.send(path, { method, headers })).status;
    for (const path of [`/v1/videos/${id}`, `/v1/videos/${id}/content`, `/v1/videos/${id}/events`]) {
      expect([path, await status(path, owner), await status(path, reader), await status(path, maker)]).toEqual([
        path,
        200,
        404,
        403,
      ]);
      expect([path, await status(path, admin)]).toEqual([path, 200]);
    }
    expect((await http.send('/v1/videos', { headers: reader.headers })).json.data).toEqual([]);
    expect((await http.send('/v1/videos', { headers: admin.headers })).json.data).toHaveLength(1);
    expect(await status(`/v1/videos?after=${id}`, reader)).toBe(404);
    expect(await status(`/v1/videos/${id}`, reader, 'DELETE')).toBe(403);
    expect(await status(`/v1/videos/${id}`, maker, 'DELETE')).toBe(404);
    const refused = await http.send('/v1/videos', { method: 'POST', headers: reader.headers, body: { prompt: 'x' } });
    expect(refused).toMatchObject({
      status: 403,
      json: { error: { type: 'permission_error', code: 'missing_scope' } },
    });
    expect(await status(`/v1/videos/${id}`, owner, 'DELETE')).toBe(200);
  }));

test('a key beyond its rate limit learns when to retry', () =>
  withHttp(async (http) => {
    const { headers } = await makeKey(http, ['read'], { requestsPerMinute: 3 });
    const statuses: number[] = [];
    let last = await http.send('/v1/presets', { headers });
    for (; last.status === 200 && statuses.length < 10; last = await http.send('/v1/presets', { headers })) {
      statuses.push(last.status);
    }
    expect(statuses).toEqual([200, 200, 200]);
    expect(last).toMatchObject({ status: 429, json: { error: { type: 'rate_limit_error', code: 'rate_limited' } } });
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0);
  }));

test('a key with a maximum below 0 makes videos of that priority by default', () =>
  withHttp(
    async (http) => {
      const { headers } = await makeKey(http, ['read', 'create'], { maxPriority: -10 });
      const { id, priority } = await http.make({}, headers);
      expect(priority).toBe(-10);
      const remix = await http.send(`/v1/videos/${id}/remix`, { method: 'POST', headers, body: { prompt: 'x' } });
      expect(remix.json).toMatchObject({ priority: -10 });
      for (const asked of [-9, 0]) {
        expect(await http.make({ priority: asked }, headers)).toMatchObject({ error: { param: 'priority' } });
      }
    },
    { hooks: { encode: untilAborted } },
  ));

test('a batch is accepted as a whole, once, or not at all', () =>
  withHttp(
    async (http) => {
      const { headers } = await makeKey(http, ['read', 'create'], { maxSteps: 5, maxPriority: 20 });
      const post = (videos: unknown, key = '') =>
        http.send('/v1/videos/batch', {
          method: 'POST',
          headers: { ...headers, ...(key && { 'idempotency-key': key }) },
          body: { videos } as object,
        });
      const small = { prompt: 'a red circle', steps: 3, frame_rate: 'low', metadata: { batch: '1' } };
      const made = await post([small, { ...small, seed: 2 }], 'mine');
      expect(made.json.data).toMatchObject([{ prompt: small.prompt }, { seed: '2', metadata: { batch: '1' } }]);
      const again = await post([small, { ...small, seed: 2 }], 'mine');
      expect(again.headers.get('idempotent-replayed')).toBe('true');
      expect(again.json.data.map(({ id }: { id: string }) => id)).toEqual(
        made.json.data.map(({ id }: { id: string }) => id),
      );
      for (const [videos, param] of [
        [[small, { ...small, frame_rate: 'never' }], 'videos.1.frame_rate'],
        [[small, { ...small, width: 65 }], 'videos.1.width'],
        [[small, { ...small, priority: 21 }], 'videos.1.priority'],
        [[small, { ...small, steps: undefined, num_inference_steps: 6 }], 'videos.1.num_inference_steps'],
        [[small, { ...small, deadline: 5 }], 'videos.1.deadline'],
        [[], 'videos'],
        [Array(101).fill(small), 'videos'],
        [[{ ...small, metadata: { [`${'x'.repeat(65)}`]: '1' } }], 'videos.0.metadata'],
        [[{ ...small, metadata: { x: 'y'.repeat(513) } }], 'videos.0.metadata.x'],
        [[{ ...small, metadata: { x: 'a\0b' } }], 'videos.0.metadata.x'],
        [[{ ...small, metadata: { 'x[]': '1' } }], 'videos.0.metadata'],
        [[{ ...small, metadata: { x: 1 } }], 'videos.0.metadata.x'],
        [[{ ...small, metadata: { x: null } }], 'videos.0.metadata.x'],
        [[{ ...small, metadata: JSON.parse('{"__proto__": "x"}') }], 'videos.0.metadata.__proto__'],
      ] as const) {
        expect([(await post(videos)).json.error.param, param]).toEqual([param, param]);
      }
      const list = async (query: string) => (await http.send(`/v1/videos?${query}`, { headers })).json;
      expect((await list('metadata[batch]=1')).data).toHaveLength(2);
      expect((await list('metadata[batch]=2')).data).toEqual([]);
      expect((await list('status=done')).error.param).toBe('status');
      expect((await list('created_after=soon')).error.param).toBe('created_after');
      expect((await list('created_after=9999-12-31T23:59:59-23:59')).error.param).toBe('created_after');
      expect((await list('created_after=10000000000')).error.message).toMatch('a time from 1970 to 2286');
      expect((await list('model=%00')).error.param).toBe('model');
      expect((await list('model=nano%401%402')).error.param).toBe('model');
      expect((await list('metadata=1')).error.param).toBe('metadata');
      expect((await list('created_after=0000-01-01')).error.message).toBe(
        '`created_after` must be a time from 1970 to 2286, such as 2026-11-29, 2026-11-29T08:30:00Z or 1795939200 (seconds since 1970) (got "0000-01-01")',
      );
      for (const [name, param = name] of [
        ['metadata[a][b]'],
        ['metadata[a[]]'],
        ['metadata[a'],
        ['metadata[]', 'metadata'],
        ['metadata[a][]', 'metadata.a'],
        ['metadata[__proto__]', 'metadata.__proto__'],
        ['metadata.a'],
        ['Metadata[a]', 'Metadata'],
      ]) {
        expect((await list(`${name}=1`)).error.param).toBe(param);
      }
      expect((await list('metadata[a]=1&metadata[a]=2')).error.param).toBe('metadata.a');
      expect((await list('metadata[a%00]=1')).error.param).toBe('metadata');
    },
    { hooks: { keyframes: (_, signal) => untilAborted(signal) } },
  ));

test('usage is read as JSON and CSV, page by page, by authorized keys', () =>
  withHttp(async (http) => {
    const keys = new ApiKeys(http.data.database.sql);
    const owner = await makeKey(http, ['read', 'create']);
    const other = await makeKey(http, ['read', 'create']);
    const admin = await makeKey(http, ['admin']);
    await keys.update(other.id, { name: '=1+1' });
    for (const { headers } of [owner, other]) {
      await http.ended((await http.make({}, headers)).id, headers);
    }
    const video = (await http.send('/v1/videos', { headers: owner.headers })).json.data[0];
    expect(video.usage).toMatchObject({ reused_stages: 0, pixels: 15 * 128 * 128 });

    const read = (query: string, { headers }: typeof owner, more = {}) =>
      http.send(`/v1/usage${query}`, { headers: { ...headers, ...more } });
    const mine = (await read('', owner)).json;
    expect(mine).toMatchObject({ object: 'list', group_by: 'key', has_more: false });
    expect(mine.data).toEqual([
      {
        object: 'usage',
        group: owner.id,
        name: 'test',
        completed: 1,
        failed: 0,
        cancelled: 0,
        frames: 15,
        ...video.usage,
      },
    ]);
    const ids = [owner.id, other.id].sort();
    const first = await read('?limit=1', admin);
    expect(first.json).toMatchObject({ has_more: true, last_id: ids[0] });
    const next = first.headers.get('link')!.replace(/^<(.*)>; rel="next"$/, '$1');
    expect((await read(next, admin)).json).toMatchObject({ has_more: false, data: [{ group: ids[1] }] });

    const csv = await read('', admin, { accept: 'text/csv' });
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const lines = String(csv.bytes).split('\n');
    expect(lines[0]).toBe(
      'key,name,completed,failed,cancelled,frames,pixels,seconds,text_encoder_seconds,keyframes_seconds,interpolation_seconds,decoder_seconds,reused_stages',
    );
    expect(lines.find((line) => line.startsWith(other.id))).toMatch(`${other.id},'=1+1,1,0,0,15,`);
    expect(String((await read('?group_by=preset&format=csv', owner)).bytes)).toMatch(/\nnano,1,0,0,15,/);

    for (const [query, param, message] of [
      ['?group_by=user', 'group_by', 'one of key, preset, day'],
      ['?from=yesterday', 'from', 'a time from 1970 to 2286, such as 2026-11-29'],
      ['?from=2026-02-30', 'from', 'a time from 1970 to 2286, such as'],
      ['?from=2026-03-01T08:00', 'from', 'a time from 1970 to 2286, such as'],
      ['?from=2026-03-01&to=2026-02-01', 'to', 'a time from `from`'],
      ['?from=2020-01-01&to=2022-01-01', 'to', '366 days later'],
      ['?limit=1001', 'limit', 'from 1 to 1000'],
      ['?format=xml', 'format', 'one of json, csv'],
      ['?key=all', 'key', 'not a known field'],
    ] as const) {
      const refused = await read(query, owner);
      expect([query, refused.status, refused.json.error.param]).toEqual([query, 400, param]);
      expect(refused.json.error.message).toContain(message);
    }

    await keys.update(owner.id, { budgets: [{ amount: 1, unit: 'videos', period: 'month' }] });
    const { status, headers, json } = await http.send('/v1/videos', {
      method: 'POST',
      headers: owner.headers,
      body: { prompt: 'x' },
    });
    expect([status, json.error.code]).toEqual([429, 'budget_used']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(headers.get('x-should-retry')).toBe('false');
  }));

test('a stream of events ends soon after its key is revoked', () =>
  withHttp(
    async (http) => {
      const { id: keyId, headers } = await makeKey(http, ['read', 'create']);
      const { id } = await http.make({ steps: 1000 }, headers);
      const response = await fetch(`${http.base}/v1/videos/${id}/events`, { headers });
      await new ApiKeys(http.data.database.sql).revoke(keyId);
      expect(await response.text()).toMatch(/retry: 1000\n\n$/);
      expect((await http.send(`/v1/videos/${id}`, { headers })).status).toBe(401);
    },
    {
      // No event arrives that would cause the key to be checked.
      hooks: { keyframes: (_, signal) => untilAborted(signal) },
    },
  ));
