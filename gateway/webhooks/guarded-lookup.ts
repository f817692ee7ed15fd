import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** This machine and its link: where a caller of the API has no business to send us. */
const refused = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  // Clouds hand out credentials here.
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
] as const) {
  refused.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  // Unspecified, loopback, and IPv4 addresses in IPv6's oldest form.
  ['::', 96],
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['ff00::', 8],
  // IPv4 behind a translator or a tunnel.
  ['64:ff9b::', 96],
  ['2002::', 16],
] as const) {
  refused.addSubnet(network, prefix, 'ipv6');
}

/**
 * Throws PERMISSION_DENIED for an address of this machine or its link, and for the name `localhost`; of other names
 * nothing is known here.
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
      `\`webhook.url\` must not lead to this machine or its link (got ${address}; FUSIONFRAMES_LOCAL_WEBHOOKS=on allows it)`,
      { reason: 'LOCAL_WEBHOOK', field: 'webhook.url' },
    );
  }
}

/** Interfaces come and go, so they are asked for each time. */
function isRefused(address: string, family: 'ipv4' | 'ipv6'): boolean {
  const own = new BlockList();
  for (const each of Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])) {
    own.addAddress(each.address, each.family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return refused.check(address, family) || own.check(address, family);
}

function isLocalhost(name: string): boolean {
  return /(^|\.)localhost\.?$/i.test(name);
}

/**
 * Looks a name up as `dns.lookup` does and fails when any of its addresses is one of this machine or its link. As the
 * connection's own lookup it cannot be given one answer for the check and another for the call.
 */
export const guardedLookup: LookupFunction = (hostname, options, callback) => {
  const all: LookupOptions = { ...(options as LookupOptions), all: true };
  lookup(hostname, all, (error, found) => {
    const addresses = found as unknown as LookupAddress[];
    if (error) {
      callback(error, []);
      return;
    }
    try {
      for (const { address } of addresses) {
        requireRemote(address);
      }
    } catch (refusal) {
      callback(refusal as Error, []);
      return;
    }
    if ((options as LookupOptions).all) {
      callback(null, addresses);
    } else {
      callback(null, addresses[0]!.address, addresses[0]!.family);
    }
  });
};
