import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** Parses comma-separated addresses and networks (CIDR); undefined for a malformed list. */
export function parseProxies(list: string): BlockList | undefined {
  const proxies = new BlockList();
  const entries = list.split(',').map((entry) => entry.trim());
  for (const entry of entries.filter((each) => each !== '')) {
    const [address = '', bits, ...rest] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const maxBits = family === 'ipv6' ? 128 : 32;
    const prefix = bits === undefined ? maxBits : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (isIP(address) === 0 || rest.length > 0 || !(prefix <= maxBits)) {
      return undefined;
    }
    proxies.addSubnet(address, prefix, family);
  }
  return proxies;
}

/** Whether an address is that of a trusted proxy. */
export function isAmong(proxies: BlockList | undefined, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && (proxies?.check(address, family === 6 ? 'ipv6' : 'ipv4') ?? false);
}

/** A request's client address: from a trusted proxy's X-Forwarded-For, else the peer of the connection. */
export function clientAddress({ headers, socket }: FastifyRequest, proxies: BlockList | undefined): string {
  const { remoteAddress = '' } = socket;
  const hops = String(headers['x-forwarded-for'] ?? '')
    .split(',')
    .map((hop) => hop.trim());
  // Each proxy appends its peer, so anything written by an untrusted caller comes before that.
  const told = isAmong(proxies, remoteAddress) ? hops.findLast((hop) => !isAmong(proxies, hop)) : undefined;
  return told !== undefined && isIP(told) !== 0 ? told : remoteAddress;
}
