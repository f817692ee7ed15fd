import { type BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { shown } from '../../../services/kit/errors.ts';
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
  const { host, source, port, protocol } = publicSite(request, trustedProxies);
  const own = URL.canParse(origin) ? siteOf(new URL(origin).protocol, host) : undefined;
  if (own === undefined || !isSameSite(new URL(origin), own, port, protocol)) {
    const told = [protocol && `protocol ${protocol}`, port && `port ${port}`].filter(Boolean);
    throw new ProtocolError(
      403,
      'foreign_origin',
      `Requests from origin ${shown(origin)} are not allowed: it was compared with ${shown(host) || 'no name'} of ${source}` +
        `${told.map((each) => ` and the forwarded ${shown(String(each))}`).join('')}. ` +
        'A proxy in front of this server must pass on the Host header, or be one of FUSIONFRAMES_TRUSTED_PROXIES',
      {},
      'Origin',
    );
  }
}

/**
 * Whether an origin is the host that was requested. A forwarded port may complete a host without one, but a host
 * without one also stands for its default port: behind two proxies, the second reports its own port.
 */
function isSameSite(origin: URL, own: URL, port: string, protocol: string): boolean {
  if (protocol === 'https' && origin.protocol === 'http:') {
    return false;
  }
  const completed = port === '' ? undefined : siteOf(origin.protocol, `${own.host}:${port}`);
  return [own, completed].some((site) => site !== undefined && nameOf(site) === nameOf(origin));
}

/** A host as a URL with an origin's protocol, which makes it lower case and drops the default port. */
function siteOf(protocol: string, host: string): URL | undefined {
  const url = `${protocol}//${host}`;
  return /^[^\s/\\?#@]+$/.test(host) && URL.canParse(url) ? new URL(url) : undefined;
}

function nameOf({ hostname, port }: URL): string {
  return `${hostname.replace(/\.$/, '')}:${port}`;
}

interface PublicSite {
  host: string;
  /** Header that the host comes from. */
  source: string;
  /** From X-Forwarded-Port, for a host without a port; otherwise empty. */
  port: string;
  /** From Forwarded or X-Forwarded-Proto, in lower case; otherwise empty. */
  protocol: string;
}

/** What the client requested: from a trusted proxy (RFC 7239 or X-Forwarded-*), else the Host header. */
function publicSite({ headers, socket }: FastifyRequest, trustedProxies: BlockList): PublicSite {
  const host = { host: headers.host ?? '', source: 'Host' };
  if (!isAmong(trustedProxies, socket.remoteAddress ?? '')) {
    return { ...host, port: '', protocol: '' };
  }
  const first = (name: string) =>
    String(headers[name] ?? '')
      .split(',')[0]!
      .trim();
  const told = (parameter: string) => {
    const [, quoted, plain] =
      new RegExp(`(?:^|;)\\s*${parameter}=(?:"([^"]*)"|([^;\\s]+))`, 'i').exec(first('forwarded')) ?? [];
    return quoted ?? plain ?? '';
  };
  const protocol = (told('proto') || first('x-forwarded-proto')).toLowerCase();
  if (told('host') !== '') {
    return { host: told('host'), source: 'Forwarded', port: '', protocol };
  }
  const forwarded = first('x-forwarded-host');
  const site = forwarded === '' ? host : { host: forwarded, source: 'X-Forwarded-Host' };
  return { ...site, port: /:\d+$/.test(site.host) ? '' : first('x-forwarded-port'), protocol };
}

/** Without API keys, rejects host names that another site could point at this machine (DNS rebinding). Throws 403. */
export function refuseForeignName({ hostname }: FastifyRequest, { keyId }: Caller): void {
  const name = hostname.replace(/^\[(.*)\]$/, '$1');
  if (keyId === '' && name !== 'localhost' && isIP(name) === 0) {
    throw new ProtocolError(
      403,
      'foreign_host',
      `Host ${shown(name)} is not allowed without API keys; use localhost or an IP address`,
    );
  }
}
