import type { Server as NetServer } from 'node:net';
import { Server } from '@grpc/grpc-js';
import type { Logger } from '../log.ts';
import { boundConnections, type ConnectionBounds } from './bound-connections.ts';

/** What is used here of a grpc-js server; private in its types. */
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

/** Lets grpc-js, which bounds no connections, heed {@link connectionOptions}. To be called before the first server is made. */
export function boundGrpcConnections(): void {
  const prototype = Server.prototype as unknown as ServerWithSockets;
  const { createHttp2Server } = prototype;
  prototype.createHttp2Server = function (credentials) {
    const server = createHttp2Server.call(this, credentials);
    const bounded = this.options[option] as Bounded | undefined;
    if (bounded) {
      boundConnections(server, bounded.bounds, bounded.log);
    }
    return server;
  };
}
