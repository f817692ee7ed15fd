import { Option } from 'commander';

/** The gateway's default port. */
export const gatewayPort = 50050;

/** Names the gateway that a command calls. */
export function gatewayOption(): Option {
  return new Option('--address <host:port>', 'the gateway').default(`127.0.0.1:${gatewayPort}`);
}

/** Names a gateway for a command that otherwise runs all services itself. */
export function remoteGatewayOption(): Option {
  return new Option('--address <host:port>', 'use the gateway at this address instead of running the services here');
}
