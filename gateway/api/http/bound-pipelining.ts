import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { OccasionalLog } from '../../../services/kit/limits/occasional-log.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { add } from '../../../services/kit/telemetry/metrics.ts';

/** Maximum number of requests that a connection may send ahead of their responses. */
const maxPipelined = 8;

/**
 * Closes connections that send many requests without waiting for responses: each would take a place, and all are parsed in
 * one turn of the event loop. When a connection closes, ends the responses that wait behind another one, for which Node
 * emits no `close`.
 */
export function boundPipelining(server: Server, log: Logger): void {
  const closings = new OccasionalLog(log);
  const unfinished = new WeakMap<Socket, Set<ServerResponse>>();
  const responsesOf = (socket: Socket): Set<ServerResponse> => {
    const responses = new Set<ServerResponse>();
    unfinished.set(socket, responses);
    // After Node has closed the response that it was writing.
    socket.once('close', () => setImmediate(() => responses.forEach(close)));
    return responses;
  };
  // Before the listener that handles requests.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const responses = unfinished.get(socket) ?? responsesOf(socket);
    responses.add(response);
    response.once('close', () => responses.delete(response));
    if (responses.size > maxPipelined && !socket.destroyed) {
      const { remoteAddress: address = 'unknown' } = socket;
      closings.warn(address, { address }, 'a connection sent too many requests without waiting for responses');
      add('fusionframes.connections.closed', 1, {});
      socket.destroy();
    }
  });
}

function close(response: ServerResponse): void {
  response.destroy();
  response.emit('close');
}
