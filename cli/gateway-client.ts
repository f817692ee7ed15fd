import { z } from 'zod';
import { connectGrpc } from '../gateway/client/grpc-client.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { noConnection } from '../services/kit/channel.ts';
import { FusionError, renameField } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { openClientTls, tlsSettings } from '../services/kit/process-tls.ts';
import { readSettings, type Setting, text } from '../services/kit/settings.ts';
import type { ClientTls } from '../services/kit/tls.ts';
import { requireServerAddress } from './gateway-address.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';

/** Settings of clients of a gateway. */
export const clientSettings = {
  apiKey: {
    name: 'FUSIONFRAMES_API_KEY',
    description: 'API key that `generate`, `jobs`, `mcp` and `usage` send to the gateway',
    // Metadata takes printable ASCII only, and a key read from a file may end with a line break.
    schema: z
      .string()
      .trim()
      .regex(/^[\x21-\x7e]*$/, 'must be a key printed by `keys create`')
      .default(''),
    isSecret: true,
  },
  webhookSecret: {
    name: 'FUSIONFRAMES_WEBHOOK_SECRET',
    description: 'Secret with which the gateway signs the calls of `--webhook`',
    schema: z
      .string()
      .trim()
      .regex(/^[\x20-\x7e]{1,256}$/, 'must be at most 256 printable ASCII characters')
      .default(''),
    isSecret: true,
  },
  tlsServerName: {
    name: 'FUSIONFRAMES_TLS_SERVER_NAME',
    description:
      "Name in the certificate of the server, where it is reached under another one, such as through `kubectl port-forward`; empty: the address's",
    schema: text('').refine((name) => /^[A-Za-z0-9.-]{0,253}$/.test(name), 'must be a host name'),
  },
} satisfies Record<string, Setting<unknown>>;

/** TLS of connections to remote servers, from the FUSIONFRAMES_TLS_* settings. */
export async function clientTls(): Promise<ClientTls | undefined> {
  const tls = await openClientTls(readSettings(tlsSettings), createLogger('fusionframes', 'warn'));
  const { tlsServerName: serverName } = readSettings(clientSettings);
  return tls && serverName !== '' ? { ...tls, serverName } : tls;
}

/** Adds what to do to the error of a call that reached no gateway. */
export function withGatewayHint(thrown: unknown): unknown {
  if (!(thrown instanceof FusionError) || thrown.reason !== noConnection) {
    return thrown;
  }
  const { code, reason, message } = thrown;
  const hint = 'start a gateway with `fusionframes serve`, or name a running one with --address';
  return new FusionError(code, `${message}; ${hint}`, { reason, cause: thrown });
}

/** A client of the gateway at `address` with key and TLS from the settings. Throws INVALID_ARGUMENT naming the option or setting at fault. */
export async function connectGateway(address: string): Promise<VideoClient> {
  requireServerAddress('--address', address);
  const { apiKey } = readSettings(clientSettings);
  const tls = await clientTls();
  return connectGrpc({ address, apiKey, ...(tls && { tls }) });
}

/**
 * Runs `use` with a client of the gateway at `address`.
 *
 * @param flags of the command, by the fields that they set: they name the fault in errors of the gateway
 */
export async function withGateway(
  { address }: { address: string },
  use: (client: VideoClient, signal: AbortSignal) => Promise<void>,
  flags: Readonly<Record<string, string>> = {},
): Promise<void> {
  const interrupted = interruptSignal();
  const client = await connectGateway(address);
  try {
    await use(client, interrupted);
  } catch (error) {
    reportInterruption(byFlag(withGatewayHint(error), flags), interrupted, '');
  } finally {
    client.close();
  }
}

function byFlag(thrown: unknown, flags: Readonly<Record<string, string>>): unknown {
  const field = thrown instanceof FusionError ? thrown.field : undefined;
  const flag = Object.entries(flags).find(([name]) => field === name || field?.startsWith(`${name}.`))?.[1];
  return flag === undefined ? thrown : renameField(thrown as FusionError, flag);
}
