import { Option } from 'commander';
import { isServerAddress, serverAddressRule } from '../services/kit/addresses.ts';
import { invalidField } from '../services/kit/errors.ts';

/** The gateway's default port. */
export const gatewayPort = 50050;

/** Throws INVALID_ARGUMENT for an address that no client can call. */
export function requireServerAddress(field: string, address: string): void {
  if (!isServerAddress(address)) {
    throw invalidField(field, address, serverAddressRule);
  }
}

/** Names the gateway that a command calls. */
export function gatewayOption(): Option {
  return new Option('--address <host:port>', 'the gateway').default(`127.0.0.1:${gatewayPort}`);
}

/** Names a gateway for a command that otherwise runs all services itself. */
export function remoteGatewayOption(): Option {
  return new Option('--address <host:port>', 'use the gateway at this address instead of running the services here');
}
