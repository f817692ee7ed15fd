import type { Sql } from 'postgres';
import { ask } from '../../database/ask.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { JobState } from '../job.ts';
import { jobPrefix, resultsPrefix } from '../object-keys.ts';

/** Removes what a job no longer needs: stage results once it has ended, everything if it failed or was deleted. */
export async function tidyObjects(sql: Sql, objects: ObjectStore, id: string): Promise<void> {
  const find = () => sql<{ state: JobState }[]>`select state from jobs where id = ${id} and deleted_at is null`;
  const [job] = await ask(sql, find);
  switch (job?.state) {
    case 'queued':
    case 'running':
      return;
    case 'succeeded':
      return objects.removeAll(resultsPrefix(id));
    default:
      return objects.removeAll(jobPrefix(id));
  }
}
