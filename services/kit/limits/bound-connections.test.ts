import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { boundConnections, type ConnectionBounds } from './bound-connections.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

async function start(bounds: ConnectionBounds) {
  const lines: string[] = [];
  const server = createServer((request, response) => {
    // Starts the response and, except for a probe, never ends it.
    response.write('x');
    if (request.url === '/probe') {
      response.end();
    }
  });
  boundConnections(server, bounds, pino({}, { write: (line: string) => void lines.push(line) }));
  await once(server.listen(0, '0.0.0.0'), 'listening');
  const { port } = server.address() as AddressInfo;
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const open = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
    cleanups.push(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  /** Whether a request is answered. */
  const ask = async (socket: Socket, path: string): Promise<boolean> => {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    return answer instanceof Buffer;
  };
  return { open, ask, lines };
}

test('an address that hoards connections does not lock others out', async () => {
  const { open, ask, lines } = await start({ total: 10, perAddress: 10 });
  const kept = await open('127.0.0.2');
  const collected: Socket[] = [];
  for (let count = 0; count < 30; count++) {
    collected.push(await open('127.0.0.3'));
  }
  expect(await ask(await open('127.0.0.1'), '/probe')).toBe(true);
  expect(await ask(kept, '/probe')).toBe(true);
  expect(await ask(collected.at(-1)!, '/probe')).toBe(true);
  expect(collected[0]!.destroyed || collected[0]!.readableEnded || collected[0]!.closed).toBe(true);
  // Once a minute, not for every connection.
  expect(lines.filter((line) => line.includes('127.0.0.3'))).toHaveLength(1);
});

test('connections per address are limited; the oldest idle one is closed first', async () => {
  const { open, ask } = await start({ total: 100, perAddress: 3 });
  const busy = await open('127.0.0.2');
  expect(await ask(busy, '/stream')).toBe(true);
  const idle = await open('127.0.0.2');
  const others = [await open('127.0.0.2'), await open('127.0.0.2')];
  await once(idle.resume(), 'close');
  for (const socket of others) {
    expect(await ask(socket, '/stream')).toBe(true);
  }
  // All of them are busy, so the new one is refused and none of them is closed.
  const late = await open('127.0.0.2');
  await once(late.resume(), 'close');
  expect([busy, ...others].map(({ destroyed }) => destroyed)).toEqual([false, false, false]);
  expect(await ask(await open('127.0.0.4'), '/probe')).toBe(true);
});
