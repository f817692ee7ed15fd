import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../../services/kit/log.ts';
import type { Caller } from '../../keys/caller.ts';
import { probes } from './trace-requests.ts';

/** Writes one line when the response is complete or the client disconnected; never logs request content. */
export function logAccess(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const started = performance.now();
  reply.raw.once('close', () => {
    const { url = 'none' } = request.routeOptions;
    const { id } = request.params as { id?: string };
    const { caller } = request as { caller?: Caller };
    const level = probes.includes(url) ? 'debug' : 'info';
    log[level](
      {
        request: request.id,
        method: request.method,
        route: url,
        // nginx's status for a request that was aborted before its response began.
        status: reply.raw.headersSent ? reply.statusCode : 499,
        milliseconds: Math.round(performance.now() - started),
        ...(caller && caller.keyId !== '' && { key: caller.keyId }),
        ...(id !== undefined && { job: id.slice(0, 40) }),
        ...(!reply.raw.writableFinished && { aborted: true }),
      },
      'request',
    );
  });
}
