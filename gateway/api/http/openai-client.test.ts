import { afterAll, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { ApiKeys } from '../../keys/api-keys.ts';
import { stopTestServer } from '../../testing/data.ts';
import { withHttp } from '../../testing/http.ts';

afterAll(stopTestServer);

test('the unmodified openai client works', () =>
  withHttp(async ({ base, data, ended }) => {
    const { text: apiKey } = await new ApiKeys(data.database.sql).create({
      name: 'openai',
      scopes: ['read', 'create'],
      limits: { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 },
    });
    const client = new OpenAI({ baseURL: `${base}/v1`, apiKey });
    const key = { authorization: `Bearer ${apiKey}` };
    const fields = { prompt: 'a red circle', frame_rate: 'low', steps: 3, interpolation_steps: 2 };
    const created = await client.videos.create({
      ...fields,
      seconds: '7.5',
      size: '128x128',
      extra: { seed: 5 },
    } as never);
    expect(created).toMatchObject({
      object: 'video',
      model: 'nano',
      status: 'queued',
      seconds: '7.5',
      size: '128x128',
      seed: '5',
    });
    expect(created._request_id).toMatch(/^req_/);
    await ended(created.id, key);
    expect(await client.videos.retrieve(created.id)).toMatchObject({
      id: created.id,
      status: 'completed',
      progress: 100,
      error: null,
    });

    const models = [];
    for await (const model of client.models.list()) {
      models.push(model);
    }
    const published = Date.parse('2026-11-30') / 1000;
    expect(models).toMatchObject([
      { id: 'nano', object: 'model', owned_by: 'fusionframes', status: 'ready', created: published },
    ]);
    expect(await client.models.retrieve('nano')).toMatchObject(models[0]!);
    const unknown = {
      status: 404,
      code: 'no_such_model',
      param: 'model',
      error: { message: '`model` "sora-2" not found; available: nano' },
    };
    await expect(client.models.retrieve('sora-2')).rejects.toMatchObject(unknown);
    await expect(client.videos.create({ ...fields, model: 'sora-2' })).rejects.toMatchObject(unknown);

    const remixed = await client.videos.remix(created.id, { prompt: 'a blue square' });
    expect(remixed).toMatchObject({
      prompt: 'a blue square',
      remixed_from_video_id: created.id,
      seed: '5',
      size: '128x128',
      keyframes: { steps: 3 },
    });
    await expect(client.videos.remix('video_1', { prompt: 'x' })).rejects.toMatchObject({ status: 404 });
    await expect(client.videos.remix(created.id, { prompt: ' ' })).rejects.toMatchObject({ param: 'prompt' });
    await client.videos.delete(remixed.id);

    const second = await client.videos.create({
      ...fields,
      model: 'nano',
      metadata: { team: 'red', cost: '7' },
      webhook: { url: 'http://198.51.100.1/', secret: 's', events: ['running', 'queued'] },
    } as never);
    const [stored] = await data.database.sql`select webhook->'events' as events from jobs where id = ${second.id}`;
    expect(stored).toEqual({ events: ['running', 'queued'] });
    expect(second).toMatchObject({ metadata: { team: 'red', cost: '7' } });
    const third = await client.videos.create(fields);
    const listed: string[] = [];
    for await (const { id } of client.videos.list({ limit: 2 })) {
      listed.push(id);
    }
    expect(listed).toEqual([third.id, second.id, created.id]);
    const found = async (query: object) => (await client.videos.list(query as never)).data.map(({ id }) => id);
    expect(await found({ metadata: { team: 'red' } })).toEqual([second.id]);
    expect(await found({ metadata: { team: 'red', cost: '8' } })).toEqual([]);
    expect(await found({ status: 'completed', model: 'nano', created_before: '2100-01-01' })).toContain(created.id);
    expect(await found({ created_after: '2100-01-01' })).toEqual([]);
    expect(await found({ model: 'other' })).toEqual([]);
    expect((await client.videos.list({ order: 'asc', limit: 1 })).data[0]!.id).toBe(created.id);
    await ended(second.id, key);
    await ended(third.id, key);
    const deleted: string[] = [];
    for await (const { id } of client.videos.list({ limit: 1 })) {
      if (id !== created.id) {
        await client.videos.delete(id);
        deleted.push(id);
      }
    }
    expect(deleted).toEqual([third.id, second.id]);

    const video = Buffer.from(await (await client.videos.downloadContent(created.id)).arrayBuffer());
    expect(video.subarray(4, 8).toString()).toBe('ftyp');
    for (const variant of ['thumbnail', 'spritesheet'] as const) {
      const picture = await client.videos.downloadContent(created.id, { variant });
      expect(picture.headers.get('content-type')).toMatch(/^image\//);
      await picture.arrayBuffer();
    }
    expect(await client.videos.delete(created.id)).toEqual({ id: created.id, object: 'video.deleted', deleted: true });

    await expect(client.videos.retrieve(created.id)).rejects.toMatchObject({
      status: 404,
      code: 'no_such_job',
      requestID: expect.stringMatching(/^req_/),
    });
    await expect(client.videos.create({ prompt: '' })).rejects.toMatchObject({
      status: 400,
      param: 'prompt',
      type: 'invalid_request_error',
    });
    await ended(second.id, key);
    await ended(third.id, key);
  }));
