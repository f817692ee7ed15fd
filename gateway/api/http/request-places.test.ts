import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { deferred } from '../../../services/kit/deferred.ts';
import type { ApiKeys } from '../../keys/api-keys.ts';
import { anonymous } from '../../keys/caller.ts';
import { CallsOfKeys } from '../../keys/calls-of-keys.ts';
import { createApp } from './create-app.ts';
import { route } from './route.ts';

/** Runs `use` with a server of this many places, two of each key, whose `/watch` and `/page` last until the end. */
async function withApp(
  maxConcurrentCalls: number,
  use: (app: { port: number; get(path: string, key?: string): Promise<number>; lines: string[] }) => Promise<void>,
): Promise<void> {
  const end = deferred();
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const wait = async () => end.promise.then(() => ({}));
  const facts = { method: 'GET', summary: '', answers: {} } as const;
  const app = createApp({
    routes: [
      route({ ...facts, path: '/watch', name: 'watch', scope: 'read' }, wait),
      route({ ...facts, path: '/ask', name: 'ask', scope: 'read' }, async () => ({})),
      route({ ...facts, path: '/page', name: 'page' }, wait),
      route({ ...facts, path: '/healthz', name: 'health' }, async () => ({})),
    ],
    log,
    keys: { authenticate: async (key = '') => ({ ...anonymous, keyId: key }) } as unknown as ApiKeys,
    calls: new CallsOfKeys(2, log),
    maxConcurrentCalls,
    stopping: new AbortController().signal,
    requestSeconds: 30,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as { port: number };
  const get = async (path: string, key?: string) =>
    (await fetch(`http://127.0.0.1:${port}${path}`, key === undefined ? {} : { headers: { authorization: key } }))
      .status;
  try {
    await use({ port, get, lines });
  } finally {
    end.resolve();
    await app.close();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function hold(port: number, path: string, key?: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${key ? `authorization: ${key}\r\n` : ''}\r\n`);
  return socket;
}

test('a key that has used up its slots does not affect others', () =>
  withApp(100, async ({ port, get, lines }) => {
    const held = [await hold(port, '/watch', 'one'), await hold(port, '/watch', 'one')];
    await until(async () => (await get('/ask', 'one')) === 429);
    expect(await get('/ask', 'other')).toBe(200);
    // Every line of the access log names the key.
    await until(async () => lines.some((line) => line.includes('"key":"other"') && line.includes('/ask')));
    expect(lines.filter((line) => line.includes('has too many calls in progress'))).toHaveLength(1);
    held[0]!.destroy();
    await until(async () => (await get('/ask', 'one')) === 200);
    held[1]!.destroy();
  }));

test('requests without a key leave half of the slots, and probes take none', () =>
  withApp(40, async ({ port, get }) => {
    const held = await Promise.all(Array.from({ length: 20 }, () => hold(port, '/page')));
    await until(async () => (await get('/page-that-is-not-there')) === 429);
    expect(await get('/healthz')).toBe(200);
    held.push(...(await Promise.all(Array.from({ length: 20 }, () => hold(port, '/watch')))));
    held[0]!.destroy();
    await until(async () => (await get('/ask', 'one')) === 200);
    for (const socket of held) {
      socket.destroy();
    }
  }));
