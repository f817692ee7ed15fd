import { isIPv4, isIPv6 } from 'node:net';
import { Status } from 'nice-grpc-common';
import { parseHostPort } from '../../services/kit/addresses.ts';
import { FusionError } from '../../services/kit/errors.ts';

/**
 * Throws FAILED_PRECONDITION for an address that other machines can reach: without keys, anyone who can reach the
 * gateway can use it without authentication.
 *
 * @param setting name of the setting with the address
 * @param address in the form that `serve()` takes
 */
export function requireLoopback(setting: string, address: string): void {
  if (!isLoopback(address)) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `${setting}: other machines may reach ${address}, and without API keys anyone could do anything: create a key first (fusionframes keys create <name>), or listen on 127.0.0.1`,
      { reason: 'NO_API_KEYS', field: setting },
    );
  }
}

/** Where a gateway listens. */
export interface GatewayAddresses {
  address?: string | undefined;
  httpAddress?: string | undefined;
}

/** {@link requireLoopback} for both addresses of a gateway. */
export function requireLocalGateway({ address, httpAddress }: GatewayAddresses): void {
  if (address !== undefined) {
    requireLoopback('address', address);
  }
  if (httpAddress !== undefined) {
    requireLoopback('FUSIONFRAMES_HTTP_ADDRESS', httpAddress);
  }
}

function isLoopback(address: string): boolean {
  if (address.startsWith('unix:')) {
    return true;
  }
  const { host = address } = parseHostPort(address) ?? {};
  return (
    host === 'localhost' || (isIPv4(host) && host.startsWith('127.')) || (isIPv6(host) && /^(0*:)+0*1$/.test(host))
  );
}
