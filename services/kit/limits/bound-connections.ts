import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { Logger } from '../log.ts';
import { add } from '../telemetry/metrics.ts';
import { Counts } from './counts.ts';
import { OccasionalLog } from './occasional-log.ts';

/** How many connections a server holds open. */
export interface ConnectionBounds {
  total: number;
  perAddress: number;
  /** Whether an address is a proxy with many callers behind it: `perAddress` does not apply to it. Default: none is. */
  isProxy?(address: string): boolean;
}

/**
 * Bounds the connections of an HTTP/1 or HTTP/2 server. A connection over the limit replaces the oldest idle one of its own
 * address or, over the total limit, of the address that holds the most, so that a caller that hoards connections does not
 * lock others out. It is closed when there is no idle connection to replace. Unix sockets do not count.
 */
export function boundConnections(server: Server, bounds: ConnectionBounds, log: Logger): void {
  const connections = new Connections(bounds, log);
  server.on('connection', (socket: Socket) => connections.enter(socket));
  if (server instanceof HttpServer) {
    server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      connections.markBusy(socket, (end) => response.once('close', end));
    });
    return;
  }
  // Listening for requests would have Node handle HTTP/2's streams in its own way.
  server.on('stream', (stream: ServerHttp2Stream) => {
    const socket = stream.session?.socket;
    if (socket) {
      connections.markBusy(socket, (end) => stream.once('close', end));
    }
  });
}

type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

class Connections {
  readonly #bounds: ConnectionBounds;
  readonly #log: OccasionalLog;
  /** By address, the oldest first. */
  readonly #sockets = new Map<string, Map<string, Socket>>();
  /** Requests in progress, by connection. */
  readonly #busy = new Counts();
  #total = 0;

  constructor(bounds: ConnectionBounds, log: Logger) {
    this.#bounds = bounds;
    this.#log = new OccasionalLog(log);
  }

  enter(socket: Socket): void {
    const { remoteAddress: address } = socket;
    if (address === undefined) {
      return;
    }
    const name = nameOf(socket);
    const ofAddress = this.#sockets.get(address) ?? new Map<string, Socket>();
    ofAddress.set(name, socket);
    this.#sockets.set(address, ofAddress);
    this.#total++;
    socket.once('close', () => this.#leave(address, name));
    const { total, perAddress, isProxy } = this.#bounds;
    if (ofAddress.size > perAddress && !isProxy?.(address)) {
      this.#close(this.#oldestIdle(ofAddress) ?? socket, address, 'too many connections from one address');
    } else if (this.#total > total) {
      this.#close(this.#mostExpendable() ?? socket, address, 'too many connections');
    }
  }

  markBusy(peer: Peer, onEnd: (end: () => void) => void): void {
    const name = nameOf(peer);
    this.#busy.add(name, 1);
    onEnd(() => this.#busy.add(name, -1));
  }

  #leave(address: string, name: string): void {
    const ofAddress = this.#sockets.get(address);
    ofAddress?.delete(name);
    if (ofAddress?.size === 0) {
      this.#sockets.delete(address);
    }
    this.#total--;
  }

  /** An idle connection of the address that has the most of them. */
  #mostExpendable(): Socket | undefined {
    const addresses = [...this.#sockets.values()].sort((one, other) => other.size - one.size);
    for (const ofAddress of addresses) {
      const idle = this.#oldestIdle(ofAddress);
      if (idle) {
        return idle;
      }
    }
    return undefined;
  }

  /** The newest one has had no time to send a request. */
  #oldestIdle(ofAddress: Map<string, Socket>): Socket | undefined {
    let left = ofAddress.size - 1;
    for (const [name, socket] of ofAddress) {
      if (left-- > 0 && !socket.destroyed && this.#busy.get(name) === 0) {
        return socket;
      }
    }
    return undefined;
  }

  #close(socket: Socket, address: string, why: string): void {
    socket.destroy();
    add('fusionframes.connections.closed', 1, {});
    this.#log.warn(address, { address, connections: this.#sockets.get(address)?.size, total: this.#total }, why);
  }
}

function nameOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
