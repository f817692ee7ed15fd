import type { Logger } from '../services/kit/log.ts';
import { openScope } from '../services/kit/scope.ts';
import type { DataFolder } from './data-folder.ts';
import { type Database, type OpenDatabaseOptions, openDatabase } from './database/open-database.ts';
import type { ObjectStore } from './storage/object-store.ts';
import { openObjectStore } from './storage/open-object-store.ts';

/** The gateway's persistent state: its database and the files of jobs. */
export interface GatewayData {
  database: Database;
  objects: ObjectStore;
  /** To be called when it is no longer in use. */
  close(): Promise<void>;
}

export interface GatewayDataOptions extends Pick<OpenDatabaseOptions, 'beforeMigration'> {
  /** `postgres://…`; empty: an embedded server on the data folder. */
  databaseUrl: string;
  /** Location of the files of jobs, see `openObjectStore`; empty: the data folder. */
  storage: string;
  /** Must stay open as long as the data. */
  dataFolder: DataFolder;
  log: Logger;
  /** Called when the storage is open, and before the database, which takes longer. */
  onStorage?(): void;
  signal?: AbortSignal;
}

/** Opens database and object store, and throws their errors. */
export function openGatewayData(options: GatewayDataOptions): Promise<GatewayData> {
  const { databaseUrl, storage, dataFolder, log, beforeMigration } = options;
  return openScope(options.signal, async (scope) => {
    if (dataFolder.temporary && (databaseUrl === '' || storage === '')) {
      log.info({ notice: true }, 'jobs and videos are deleted on exit; set FUSIONFRAMES_DATA_FOLDER to keep them');
    }
    const objects = await scope.open(() => openObjectStore(storage, dataFolder));
    options.onStorage?.();
    const database = await scope.open((signal) =>
      openDatabase({ url: databaseUrl, dataFolder, log, signal, beforeMigration }),
    );
    return { database, objects, close: () => scope.close() };
  });
}
