import { createLogger } from '../../services/kit/log.ts';
import { openDataFolder } from '../data-folder.ts';
import { type Database, openDatabase } from '../database/open-database.ts';

/** Runs `use` with an empty database of the present schema on a server of its own. */
export async function withDatabase<T>(use: (database: Database) => Promise<T>): Promise<T> {
  const dataFolder = await openDataFolder('');
  try {
    const database = await openDatabase({ url: '', dataFolder, log: createLogger('test', 'silent') });
    try {
      return await use(database);
    } finally {
      await database.close();
    }
  } finally {
    await dataFolder.close();
  }
}
