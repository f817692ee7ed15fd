import { z } from 'zod';
import { VideoServiceDefinition } from '../proto/gen/fusionframes/v1/video.ts';
import { type ConnectedClient, type Connection, connect } from '../services/kit/channel.ts';
import { createLogger } from '../services/kit/log.ts';
import { openClientTls, tlsSettings } from '../services/kit/process-tls.ts';
import { readSettings, type Setting } from '../services/kit/settings.ts';
import type { ClientTls } from '../services/kit/tls.ts';

/** What a client of the gateway takes from its environment. */
export const clientSettings = {
  apiKey: {
    name: 'FUSIONFRAMES_API_KEY',
    description: 'API key that `generate` and `jobs` show to the gateway',
    // Metadata takes printable ASCII alone, and a file's last line end comes along easily.
    schema: z
      .string()
      .trim()
      .regex(/^[\x21-\x7e]*$/, 'must be a key as `keys create` prints it')
      .default(''),
    isSecret: true,
  },
} satisfies Record<string, Setting<unknown>>;

export type GatewayClient = ConnectedClient<VideoServiceDefinition>;

/** What the FUSIONFRAMES_TLS_* settings say about connections to servers elsewhere. */
export function clientTls(): Promise<ClientTls | undefined> {
  return openClientTls(readSettings(tlsSettings), createLogger('fusionframes', 'warn'));
}

/** A client of the gateway at `address`, as the environment says. Throws INVALID_ARGUMENT naming the setting at fault. */
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
