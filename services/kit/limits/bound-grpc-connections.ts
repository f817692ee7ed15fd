import type { ListenOptions, Server as NetServer } from 'node:net';
import { Server } from '@grpc/grpc-js';
import type { Logger } from '../log.ts';
import { boundConnections, type ConnectionBounds } from './bound-connections.ts';
import { listenBacklog } from './listen-backlog.ts';

/** The parts of a grpc-js server used here; private in its types. */
interface ServerWithSockets {
  options: Record<string, unknown>;
  createHttp2Server(credentials: unknown): NetServer;
}

const option = 'fusionframes.connections';

interface Bounded {
  bounds: ConnectionBounds;
  log: Logger;
}

/** Options of a grpc-js server whose connections are bounded. */
export function connectionOptions(bounds: ConnectionBounds, log: Logger): object {
  return { [option]: { bounds, log } satisfies Bounded };
}

/**
 * Makes grpc-js, which does not bound connections, honour {@link connectionOptions} and {@link listenBacklog}. Call before
 * creating a server.
 */
export function boundGrpcConnections(): void {
  const prototype = Server.prototype as unknown as ServerWithSockets;
  const { createHttp2Server } = prototype;
  prototype.createHttp2Server = function (credentials) {
    const server = createHttp2Server.call(this, credentials);
    const bounded = this.options[option] as Bounded | undefined;
    if (bounded) {
      boundConnections(server, bounded.bounds, bounded.log);
    }
    const listen = server.listen.bind(server) as (address: ListenOptions, listening: () => void) => NetServer;
    Object.assign(server, {
      listen: (address: ListenOptions, listening: () => void) =>
        listen({ ...address, backlog: listenBacklog }, listening),
    });
    return server;
  };
}
