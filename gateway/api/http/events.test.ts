import { connect } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { deferred } from '../../../services/kit/deferred.ts';
import { stopTestServer } from '../../testing/data.ts';
import { bytesInUse } from '../../testing/heap.ts';
import { type TestHttp, withHttp } from '../../testing/http.ts';
import { untilAborted } from '../../testing/stage-doubles.ts';
import type { VideoObject } from './video-object.ts';

afterAll(stopTestServer);

interface Event {
  id: number;
  event: string;
  data: VideoObject;
}

async function* events({ base }: TestHttp, id: string, lastEventId?: number): AsyncGenerator<Event | 'retry'> {
  const headers = lastEventId === undefined ? undefined : { 'last-event-id': String(lastEventId) };
  const response = await fetch(`${base}/v1/videos/${id}/events`, { ...(headers && { headers }) });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split('\n\n');
    text = parts.pop()!;
    for (const part of parts) {
      yield part.startsWith('retry: ') ? 'retry' : parse(part);
    }
  }
}

function parse(part: string): Event {
  const [, id, event, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.+)$/.exec(part)!;
  return { id: Number(id), event: event!, data: JSON.parse(data!) };
}

async function all(stream: AsyncIterable<Event | 'retry'>): Promise<Event[]> {
  const seen: Event[] = [];
  for await (const each of stream) {
    if (each !== 'retry') {
      seen.push(each);
    }
  }
  return seen;
}

/** Queue estimates are made when an event is sent, so a replayed event has others. */
function withoutQueue({ data, ...event }: Event): object {
  return { ...event, data: { ...data, queue: undefined } };
}

test('every event arrives once and in order; a reader can resume', () =>
  withHttp(async (http) => {
    const { id } = await http.make({ frame_rate: 'medium' });
    const seen = await all(events(http, id, 0));
    expect(seen.map((event) => event.id)).toEqual(seen.map((_, index) => index + 1));
    expect(seen[0]).toMatchObject({ event: 'state', data: { status: 'queued', progress: 0 } });
    expect(seen.at(-1)).toMatchObject({ event: 'state', data: { id, status: 'completed', progress: 100 } });
    expect(
      seen.filter(({ event, data }) => event === 'progress' && data.stages.at(-1)?.stage === 'keyframes'),
    ).not.toHaveLength(0);
    for (const last of [1, 4, seen.length - 1]) {
      expect((await all(events(http, id, last))).map(withoutQueue)).toEqual(seen.slice(last).map(withoutQueue));
    }
    expect(await all(events(http, id))).toEqual(seen.slice(-1));
    const none = await http.send(`/v1/videos/${id}/events`, { headers: { 'last-event-id': String(seen.length) } });
    expect(none.status).toBe(204);
    for (const last of [String(seen.length + 1), '-1', 'x', '1e3', '']) {
      const refused = await http.send(`/v1/videos/${id}/events`, { headers: { 'last-event-id': last } });
      expect(refused).toMatchObject({ status: 400, json: { error: { param: 'last-event-id' } } });
    }
  }));

test('a stopping server ends the streams with a hint to reconnect', () =>
  withHttp(
    async (http) => {
      const { id } = await http.make();
      const stream = events(http, id);
      await http.untilRunning(id);
      const seen: (Event | 'retry')[] = [];
      let stopped: Promise<void> | undefined;
      for await (const each of stream) {
        seen.push(each);
        stopped ??= each === 'retry' ? undefined : http.server.stop();
      }
      await stopped;
      expect(seen[0]).toBe('retry');
      expect(seen.at(-1)).toBe('retry');
      await expect(fetch(`${http.base}/healthz`)).rejects.toThrow();
    },
    { hooks: { keyframes: (_, signal) => untilAborted(signal) } },
  ));

test('readers that do not read cost no memory and lose no events', async () => {
  const release = deferred();
  await withHttp(
    async (http) => {
      const { id } = await http.make({ steps: 500, prompt: 'x'.repeat(9000) });
      const { hostname, port } = new URL(http.base);
      const before = await bytesInUse();
      const sockets = Array.from({ length: 50 }, () => {
        const socket = connect(Number(port), hostname);
        socket.pause();
        socket.write(`GET /v1/videos/${id}/events HTTP/1.1\r\nhost: ${hostname}:${port}\r\nlast-event-id: 0\r\n\r\n`);
        return socket;
      });
      release.resolve();
      await http.ended(id);
      // 50 readers times about 500 events of 10 kB: 250 MB if they were kept.
      expect((await bytesInUse()) - before).toBeLessThan(40e6);
      const [slow, ...others] = sockets;
      for (const socket of others) {
        socket.destroy();
      }
      let last = 0;
      let text = '';
      for await (const chunk of slow!) {
        text += chunk;
        for (const [, number] of text.matchAll(/^id: (\d+)$/gm)) {
          last = Math.max(last, Number(number));
        }
        text = text.slice(-40);
        if (last === (await lastEvent(http, id))) {
          break;
        }
      }
      expect(last).toBeGreaterThan(500);
    },
    { hooks: { encode: () => release.promise } },
  );
});

let known: number | undefined;

async function lastEvent(http: TestHttp, id: string): Promise<number> {
  known ??= (await all(events(http, id)))[0]!.id;
  return known;
}
