import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Scope } from '../../services/kit/scope.ts';
import { openDataFolder } from '../data-folder.ts';
import { startTestServer, type TestServer } from './test-server.ts';

/** Environment variable with the socket from which a jest worker gets its server's URL. */
const socketVariable = 'TEST_SERVERS_SOCKET';

const scope = new Scope();

/**
 * Lets test files share PostgreSQL servers, one per jest worker, so that no two files use one concurrently. A server
 * starts when a worker first needs it.
 */
export async function shareServers(): Promise<void> {
  const servers = new Map<string, Promise<TestServer>>();
  const folder = await scope.open(() => openDataFolder(''));
  const path = join(folder.path, 'servers');
  const listener = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (worker) => {
      const server = servers.get(String(worker)) ?? scope.open(startTestServer);
      servers.set(String(worker), server);
      server.then(
        ({ url }) => socket.end(url),
        () => socket.destroy(),
      );
    });
  });
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  scope.add(listener);
  process.env[socketVariable] = path;
}

/** Stops the servers of {@link shareServers}. */
export async function stopSharedServers(): Promise<void> {
  await scope.close();
}

/** The URL of this worker's server; `undefined` if servers are not shared. */
export async function sharedServer(): Promise<string | undefined> {
  const path = process.env[socketVariable];
  if (path === undefined) {
    return undefined;
  }
  const socket = connect(path);
  socket.write(process.env.JEST_WORKER_ID ?? '1');
  const url = await text(socket);
  if (url === '') {
    throw new Error('The test server did not start');
  }
  return url;
}
