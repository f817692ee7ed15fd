import type { LookupAddress, LookupOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { type NameSources, resolveHost } from './resolve-host.ts';

/** This machine, link-local addresses and cloud metadata servers, which API callers must not reach through us. */
const refused = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  // Clouds hand out credentials here.
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  // For protocols, with one cloud's metadata server.
  ['192.0.0.0', 24],
  // Multicast; reserved, with broadcast.
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  refused.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  // Unspecified, loopback, and IPv4 addresses in IPv6's oldest form.
  ['::', 96],
  // Link-local, and site-local as it was until 2004.
  ['fe80::', 10],
  ['fec0::', 10],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
  ['ff00::', 8],
  // IPv4 behind a translator or a tunnel: NAT64 with its own prefix and with a network's, SIIT, Teredo, 6to4.
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['::ffff:0:0:0', 96],
  ['2001::', 32],
  ['2002::', 16],
] as const) {
  refused.addSubnet(network, prefix, 'ipv6');
}

/**
 * Throws PERMISSION_DENIED for an address of this machine, a link-local one, and the name `localhost`. Other names are
 * not resolved here and pass.
 *
 * @param host as a URL has it
 */
export function requireRemote(host: string): void {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(address);
  const isLocal = family === 0 ? isLocalhost(address) : isRefused(address, family === 6 ? 'ipv6' : 'ipv4');
  if (isLocal) {
    throw new FusionError(
      Status.PERMISSION_DENIED,
      `\`webhook.url\` must not lead to this machine or a link-local address (got ${address}; FUSIONFRAMES_LOCAL_WEBHOOKS=on allows it)`,
      { reason: 'LOCAL_WEBHOOK', field: 'webhook.url' },
    );
  }
}

/** Interfaces come and go, so they are listed each time. */
function isRefused(address: string, family: 'ipv4' | 'ipv6'): boolean {
  const own = new BlockList();
  for (const each of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])) {
    own.addAddress(each.address, each.family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return refused.check(address, family) || own.check(address, family) || (family === 'ipv6' && isTunnel(address));
}

/** Whether an IPv6 address is one of ISATAP (RFC 5214), which any network may use to reach an IPv4 address. */
function isTunnel(address: string): boolean {
  const url = `http://[${address.replace(/%.*$/, '')}]`;
  const [head = '', tail = ''] = new URL(url).hostname.slice(1, -1).split('::');
  const [first, last] = [head, tail].map((part) => (part === '' ? [] : part.split(':'))) as [string[], string[]];
  const groups = [...first, ...Array(8 - first.length - last.length).fill('0'), ...last];
  return groups[5] === '5efe' && ['0', '200'].includes(groups[4]!);
}

function isLocalhost(name: string): boolean {
  return /(^|\.)localhost\.?$/i.test(name);
}

/**
 * A lookup for a connection to a webhook's receiver. A guarded one fails if any of the name's addresses belongs to this
 * machine or is link-local. The connection itself uses it, so the addresses that are checked are the ones that are
 * called.
 */
export function receiverLookup(isGuarded: boolean, sources?: NameSources): LookupFunction {
  return (hostname, options, callback) => {
    resolveHost(hostname, sources)
      .then((addresses) => (isGuarded ? requireAllRemote(addresses) : addresses))
      .then(
        (addresses) => answer(addresses, options as LookupOptions, callback),
        (error: Error) => callback(error, []),
      );
  };
}

function requireAllRemote(addresses: LookupAddress[]): LookupAddress[] {
  for (const { address } of addresses) {
    requireRemote(address);
  }
  return addresses;
}

function answer(addresses: LookupAddress[], { all }: LookupOptions, callback: Parameters<LookupFunction>[2]): void {
  if (all) {
    callback(null, addresses);
  } else {
    callback(null, addresses[0]!.address, addresses[0]!.family);
  }
}
