import { connectGrpc } from '../gateway/client/grpc-client.ts';
import type { VideoClient } from '../gateway/client/video-client.ts';
import { FusionError, renameField } from '../services/kit/errors.ts';
import { createLogger } from '../services/kit/log.ts';
import { openClientTls, tlsSettings } from '../services/kit/process-tls.ts';
import { readSettings } from '../services/kit/settings.ts';
import type { ClientTls } from '../services/kit/tls.ts';
import { clientSettings } from './client-settings.ts';
import { requireServerAddress } from './gateway-address.ts';
import { withGatewayHint } from './gateway-hint.ts';
import { interruptSignal, reportInterruption } from './interrupt.ts';

/** TLS of connections to remote servers, from the FUSIONFRAMES_TLS_* settings. */
export async function clientTls(): Promise<ClientTls | undefined> {
  const tls = await openClientTls(readSettings(tlsSettings), createLogger('fusionframes', 'warn'));
  const { tlsServerName: serverName } = readSettings(clientSettings);
  return tls && serverName !== '' ? { ...tls, serverName } : tls;
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
