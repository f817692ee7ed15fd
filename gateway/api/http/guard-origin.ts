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
      `origin: ${origin.slice(0, 80)} given, allowed: none, or this server's own`,
    );
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
      `host: ${name.slice(0, 80)} given, allowed without API keys: localhost or an IP address`,
    );
  }
}
