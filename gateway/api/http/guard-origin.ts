import { type BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Caller } from '../../keys/caller.ts';
import { ProtocolError } from './http-error.ts';
import { isAmong } from './trusted-proxies.ts';

/** Rejects requests that another site makes a browser send, such as a cross-site form post. Throws 403. */
export function refuseForeignOrigin(request: FastifyRequest, trustedProxies: BlockList): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  // Browsers send `Sec-Fetch-Site` only on HTTPS and on localhost.
  if (origin === undefined || site === 'same-origin') {
    return;
  }
  const host = publicHost(request, trustedProxies);
  if (!URL.canParse(origin) || new URL(origin).host !== host) {
    throw new ProtocolError(
      403,
      'foreign_origin',
      `Requests from origin ${origin.slice(0, 80)} are not allowed: this server is ${String(host).slice(0, 80)}. ` +
        'A proxy in front of it must pass on the Host header, or be one of FUSIONFRAMES_TRUSTED_PROXIES',
      {},
      'Origin',
    );
  }
}

/** The host that the client requested: from a trusted proxy (RFC 7239 or X-Forwarded-Host), else the Host header. */
function publicHost({ headers, socket }: FastifyRequest, trustedProxies: BlockList): string | undefined {
  if (!isAmong(trustedProxies, socket.remoteAddress ?? '')) {
    return headers.host;
  }
  const [first] = String(headers.forwarded ?? '').split(',');
  const [, quoted, plain] = /(?:^|;)\s*host=(?:"([^"]*)"|([^;\s]+))/i.exec(first!) ?? [];
  const [forwarded] = String(headers['x-forwarded-host'] ?? '').split(',');
  return quoted ?? plain ?? (forwarded!.trim() || headers.host);
}

/** Without API keys, rejects host names that another site could point at this machine (DNS rebinding). Throws 403. */
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
