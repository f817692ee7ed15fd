import type { TransactionSql } from 'postgres';
import type { JobState } from '../job.ts';
import { isJobId } from './job-id.ts';

/** Sets the priority of a job if it is queued; returns its state and the priority before. `undefined`: no such job. */
export async function setPriority(
  sql: TransactionSql,
  id: string,
  priority: number,
): Promise<{ state: JobState; before: number } | undefined> {
  if (!isJobId(id)) {
    return undefined;
  }
  const [found] = await sql<[{ state: JobState; before: number }?]>`
    select state, priority as before from jobs where id = ${id} and deleted_at is null for update`;
  if (found?.state === 'queued') {
    await sql`update jobs set priority = ${priority} where id = ${id}`;
  }
  return found;
}
