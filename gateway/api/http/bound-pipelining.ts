import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { OccasionalLog } from '../../../services/kit/limits/occasional-log.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { add } from '../../../services/kit/telemetry/metrics.ts';

/** Maximum number of requests that a connection may send ahead of their responses. */
const maxPipelined = 8;

/**
 * Closes connections that send many requests without waiting for responses: each would take a place, and all are parsed in
 * one turn of the event loop. The requests beyond the limit reach no other listener. When a connection closes, ends the
 * responses that wait behind another one, for which Node emits no `close`. Call it once all other listeners are added.
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
  const handlers = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    const { socket } = request;
    if (socket.destroyed) {
      // Node parses what has already arrived.
      return;
    }
    const responses = unfinished.get(socket) ?? responsesOf(socket);
    responses.add(response);
    response.once('close', () => responses.delete(response));
    if (responses.size > maxPipelined) {
      const { remoteAddress: address = 'unknown' } = socket;
      closings.warn(address, { address }, 'a connection sent too many requests without waiting for responses');
      add('fusionframes.connections.closed', 1, {});
      socket.destroy();
      return;
    }
    const handle = () => {
      for (const handler of handlers) {
        handler.call(server, request, response);
      }
    };
    if (responses.size === 1) {
      handle();
      return;
    }
    // Once all that arrived at the same time are counted.
    setImmediate(() => {
      if (!socket.destroyed) {
        handle();
      }
    });
  });
}

function close(response: ServerResponse): void {
  response.destroy();
  response.emit('close');
}
