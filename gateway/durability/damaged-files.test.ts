import { readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, expect, test } from '@jest/globals';
import { JobState, VideoFile } from '../../proto/gen/fusionframes/v1/video.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { startTestGateway, testClient } from '../testing/gateway.ts';
import { withHttp } from '../testing/http.ts';
import { startStageDoubles } from '../testing/stage-doubles.ts';

afterAll(stopTestServer);

/** One response over a kept-alive connection: its status, and its body or how that was interrupted. */
function fetchOver(agent: Agent, url: string): Promise<{ status: number; body: Buffer | Error }> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, async (response) => {
      const body = await buffer(response).catch((error: Error) => error);
      resolve({ status: response.statusCode!, body });
    }).on('error', reject);
  });
}

test('a damaged or missing file is never served as complete and leaves no bytes in the next response', () =>
  withHttp(async (http) => {
    const { id } = await http.make();
    await http.ended(id);
    const url = `${http.base}/v1/videos/${id}/content`;
    const whole = Buffer.from(await (await fetch(url)).arrayBuffer());
    const folder = join(http.data.storage, id, 'files');
    const path = join(folder, (await readdir(folder)).find((name) => name.endsWith('video.mp4'))!);
    expect((await readFile(path)).equals(whole)).toBe(true);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });

    const part = { headers: { range: 'bytes=20-29' } };
    expect((await http.send(`/v1/videos/${id}/content`, part)).bytes.equals(whole.subarray(20, 30))).toBe(true);
    const { atime, mtime } = await stat(path);
    const other = Buffer.from(whole);
    other[0]! ^= 1;
    await writeFile(path, other);
    await utimes(path, atime, mtime);
    const flipped = await http.send(`/v1/videos/${id}/content`, part);
    expect(flipped).toMatchObject({ status: 500, json: { error: { code: 'file_damaged' } } });

    await truncate(path, whole.length - 10);
    for (const headers of [{}, { range: 'bytes=0-9' }] as Record<string, string>[]) {
      const refused = await http.send(`/v1/videos/${id}/content`, { headers });
      expect(refused).toMatchObject({ status: 500, json: { error: { code: 'file_damaged' } } });
      expect(refused.headers.get('etag')).toBeNull();
    }
    expect((await http.send(`/v1/videos/${id}/content`, { method: 'HEAD' })).status).toBe(500);
    const download = async () => {
      for await (const _ of http.client.downloadVideo({ id, file: VideoFile.VIDEO_FILE_VIDEO })) {
        // Read to the end.
      }
    };
    await expect(download()).rejects.toMatchObject({ codeName: 'DATA_LOSS', reason: 'OBJECT_DAMAGED' });

    await writeFile(path, other);
    const answers = await Promise.all([fetchOver(agent, url), fetchOver(agent, `${http.base}/healthz`)]);
    // A file of one piece is found out before anything is sent, a longer one breaks off.
    const [{ status, body }, health] = answers;
    expect(status === 500 || body instanceof Error).toBe(true);
    expect(JSON.parse(String(health.body))).toEqual({ status: 'ok' });
    await expect(download()).rejects.toMatchObject({ codeName: 'DATA_LOSS' });

    expect(await http.send(`/v1/videos/${id}/content`, part)).toMatchObject({
      status: 500,
      json: { error: { code: 'file_damaged' } },
    });

    await rm(path);
    const gone = await http.send(`/v1/videos/${id}/content`);
    expect(gone).toMatchObject({ status: 500, json: { error: { code: 'file_damaged', param: null } } });
    await expect(download()).rejects.toMatchObject({ codeName: 'DATA_LOSS' });
    expect((await http.send(`/v1/videos/${id}/content`, { method: 'HEAD' })).status).toBe(500);

    await symlink(path, path);
    const refused = await http.send(`/v1/videos/${id}/content`, part);
    // The caller is not at fault.
    expect(refused).toMatchObject({ status: 500, json: { error: { type: 'server_error', code: 'internal' } } });
    await expect(download()).rejects.toMatchObject({ codeName: 'INTERNAL', reason: 'STORAGE_REFUSED' });

    await rm(path);
    await writeFile(path, whole);
    expect((await fetchOver(agent, url)).body).toEqual(whole);
    agent.destroy();
  }));

test('a job stores files again that the store has lost', () =>
  withData(async (data) => {
    const { objects } = data;
    let forgotten = 0;
    const put: ObjectStore['put'] = async (key, body, options) => {
      const isForgotten = key.endsWith('video.mp4') && forgotten++ === 0;
      return objects.put(isForgotten ? 'elsewhere' : key, body, options);
    };
    const forgetful: ObjectStore = {
      put,
      open: (key, range) => objects.open(key, range),
      removeAll: (prefix) => objects.removeAll(prefix),
      close: () => objects.close(),
    };
    const stages = await startStageDoubles();
    const server = await startTestGateway({ ...data, objects: forgetful }, stages.address);
    const gateway = testClient(server.address);
    const { id } = await gateway.create();
    expect((await gateway.watch(id)).at(-1)).toMatchObject({ state: JobState.JOB_STATE_SUCCEEDED, attempt: 2 });
    gateway.close();
    await server.stop();
    await stages.stop();
  }));
