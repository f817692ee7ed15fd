import { readdir } from 'node:fs/promises';
import { openDataFolder } from '../gateway/data-folder.ts';
import { type GatewayData, openGatewayData } from '../gateway/gateway-data.ts';
import { requireLoopback } from '../gateway/keys/require-loopback.ts';
import { openProvenance, type VideoProvenance } from '../gateway/provenance/open-provenance.ts';
import type { gatewaySettings } from '../gateway/settings.ts';
import type { Logger } from '../services/kit/log.ts';
import type { Scope } from '../services/kit/scope.ts';
import type { Values } from '../services/kit/settings.ts';

/** What a gateway opens before it starts. */
interface GatewayParts {
  provenance: VideoProvenance;
  /** Still opening: a database takes a while to start. */
  data: Promise<GatewayData>;
}

/**
 * Opens a gateway's parts in `scope`. Throws at once what is wrong with its provenance settings, data folder or storage, and
 * FAILED_PRECONDITION for an HTTP address that other machines can reach if there cannot be any API keys.
 */
export async function openGatewayParts(
  settings: Values<typeof gatewaySettings>,
  log: Logger,
  scope: Scope,
): Promise<GatewayParts> {
  const provenance = await openProvenance(settings, log);
  const dataFolder = await scope.open(() => openDataFolder(settings.dataFolder));
  const mayHaveKeys =
    settings.databaseUrl !== '' || settings.firstKey !== '' || (await readdir(dataFolder.path)).length > 0;
  if (!mayHaveKeys && settings.httpAddress !== undefined) {
    requireLoopback('FUSIONFRAMES_HTTP_ADDRESS', settings.httpAddress);
  }
  let data!: Promise<GatewayData>;
  const storage = new Promise<void>((onStorage) => {
    data = scope.open((signal) => openGatewayData({ ...settings, dataFolder, log, signal, onStorage }));
  });
  // Loading models cannot be interrupted, so a wrong storage is reported before.
  await Promise.race([storage, data]);
  return { provenance, data };
}
