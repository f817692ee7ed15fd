import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Caller } from '../../keys/caller.ts';
import { ProtocolError } from './http-error.ts';

/**
 * Turns away what another site makes a browser send: a form of theirs needs no permission to be posted here. Throws 403.
 */
export function refuseForeignOrigin({ headers: { origin, host } }: FastifyRequest): void {
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) {
    throw new ProtocolError(
      403,
      'foreign_origin',
      `Requests from origin ${origin.slice(0, 80)} are not allowed; only this server's own pages may call it`,
    );
  }
}

/** Which of two hosts is meant is for nobody to guess (RFC 9112, section 3.2). Throws 400. */
export function refuseSecondHost({ raw }: FastifyRequest): void {
  const hosts = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) {
    throw new ProtocolError(400, 'duplicate_host', 'A request must have one `Host` header', {}, 'Host');
  }
}

/**
 * Without keys a browser may not be led here under a name that another site points to this machine (DNS rebinding).
 * Throws 403.
 */
export function refuseForeignName({ hostname }: FastifyRequest, { keyId }: Caller): void {
  const name = hostname.replace(/^\[(.*)\]$/, '$1');
  if (keyId === '' && name !== 'localhost' && isIP(name) === 0) {
    throw new ProtocolError(
      403,
      'foreign_host',
      `Host ${name.slice(0, 80)} is not allowed without API keys; use localhost or an IP address`,
    );
  }
}
