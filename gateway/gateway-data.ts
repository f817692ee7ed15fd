import type { Logger } from '../services/kit/log.ts';
import { openDataFolder } from './data-folder.ts';
import { type Database, openDatabase } from './database/open-database.ts';
import type { ObjectStore } from './storage/object-store.ts';
import { openObjectStore } from './storage/open-object-store.ts';

/** What outlasts the gateway's process: the truth about jobs, and their files. */
export interface GatewayData {
  database: Database;
  objects: ObjectStore;
  /** To be called when nothing uses it any more. */
  close(): Promise<void>;
}

export interface GatewayDataOptions {
  /** `postgres://…`; empty: an embedded server on the data folder. */
  databaseUrl: string;
  /** Where the files of jobs lie, as `openObjectStore` takes it; empty: in the data folder. */
  storage: string;
  /** Empty: a temporary one. */
  dataFolder: string;
  log: Logger;
  signal?: AbortSignal;
}

/** Opens database and object store. Throws what opening any of them throws. */
export async function openGatewayData(options: GatewayDataOptions): Promise<GatewayData> {
  const { databaseUrl, storage, log, signal } = options;
  const dataFolder = await openDataFolder(options.dataFolder);
  const closes = [() => dataFolder.close()];
  const close = async () => {
    for (const next of closes.splice(0).reverse()) {
      await next();
    }
  };
  try {
    const objects = await openObjectStore(storage, dataFolder);
    closes.push(() => objects.close());
    const database = await openDatabase({ url: databaseUrl, dataFolder, log, ...(signal && { signal }) });
    closes.push(() => database.close());
    return { database, objects, close };
  } catch (error) {
    await close();
    throw error;
  }
}
