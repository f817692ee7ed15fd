import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataFolder } from '../gateway/data-folder.ts';
import { type GatewayData, type GatewayDataOptions, openGatewayData } from '../gateway/gateway-data.ts';
import { hasKeys } from '../gateway/keys/api-key-rows.ts';
import { type GatewayAddresses, requireLocalGateway } from '../gateway/keys/require-loopback.ts';
import { openProvenance, type VideoProvenance } from '../gateway/provenance/open-provenance.ts';
import type { gatewaySettings } from '../gateway/settings.ts';
import type { Logger } from '../services/kit/log.ts';
import type { Scope } from '../services/kit/scope.ts';
import type { Values } from '../services/kit/settings.ts';
import { modelsFolder } from '../services/pipeline/models-folder.ts';

/** What a gateway opens before it starts. */
interface GatewayParts {
  provenance: VideoProvenance;
  /** Still opening: a database takes a while to start. */
  data: Promise<GatewayData>;
}

/**
 * Opens a gateway's parts in `scope`. Throws at once what is wrong with its provenance settings, data folder or
 * storage, and FAILED_PRECONDITION for an address that other machines can reach if there are no API keys, before it creates or changes a
 * database.
 */
export async function openGatewayParts(
  settings: Values<typeof gatewaySettings> & GatewayAddresses,
  log: Logger,
  scope: Scope,
): Promise<GatewayParts> {
  const provenance = await openProvenance(settings, log);
  const dataFolder = await scope.open(() => openDataFolder(settings.dataFolder, join(modelsFolder(), 'database')));
  const hasFirstKey = settings.firstKey !== '';
  if (!hasFirstKey && settings.databaseUrl === '' && (await readdir(dataFolder.path)).length === 0) {
    requireLocalGateway(settings);
  }
  const beforeMigration: GatewayDataOptions['beforeMigration'] = async (sql) => {
    if (!hasFirstKey && !(await hasKeys(sql))) {
      requireLocalGateway(settings);
    }
  };
  let data!: Promise<GatewayData>;
  const storage = new Promise<void>((onStorage) => {
    data = scope.open((signal) =>
      openGatewayData({ ...settings, dataFolder, log, signal, onStorage, beforeMigration }),
    );
  });
  // Loading models cannot be interrupted, so a wrong storage is reported before.
  await Promise.race([storage, data]);
  return { provenance, data };
}
