import { z } from 'zod';
import { VideoServiceDefinition } from '../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, type Connection, connect } from '../services/kit/channel.ts';
import { createLogger } from '../services/kit/log.ts';
import { openClientTls, tlsSettings } from '../services/kit/process-tls.ts';
import { readSettings, type Setting } from '../services/kit/settings.ts';
import type { ClientTls } from '../services/kit/tls.ts';

/** Settings of clients of a gateway. */
export const clientSettings = {
  apiKey: {
    name: 'FUSIONFRAMES_API_KEY',
    description: 'API key that `generate` and `jobs` send to the gateway',
    // Metadata takes printable ASCII only, and a key read from a file may end with a line break.
    schema: z
      .string()
      .trim()
      .regex(/^[\x21-\x7e]*$/, 'must be a key as `keys create` prints it')
      .default(''),
    isSecret: true,
  },
} satisfies Record<string, Setting<unknown>>;

export type GatewayClient = ConnectedClient<VideoServiceDefinition>;

/** TLS of connections to remote servers, from the FUSIONFRAMES_TLS_* settings. */
export function clientTls(): Promise<ClientTls | undefined> {
  return openClientTls(readSettings(tlsSettings), createLogger('fusionframes', 'warn'));
}

/** A client of the gateway at `address` with key and TLS from the settings. Throws INVALID_ARGUMENT naming the setting at fault. */
export async function connectGateway(address: string): Promise<Connection<VideoServiceDefinition>> {
  const { apiKey } = readSettings(clientSettings);
  return gatewayClient(address, apiKey, await clientTls());
}

/** @param apiKey empty: none */
export function gatewayClient(address: string, apiKey = '', tls?: ClientTls): Connection<VideoServiceDefinition> {
  return connect(VideoServiceDefinition, address, {
    ...(tls && { tls }),
    ...(apiKey && { metadata: { authorization: `Bearer ${apiKey}` } }),
  });
}
