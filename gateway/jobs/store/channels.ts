import type { TransactionSql } from 'postgres';

/** Channels on which the database notifies every replica. */
export const channels = {
  /** A job has events up to a number: `<id> <number>`. */
  events: 'fusionframes_job_events',
  /** A job waits for a replica with room. */
  waiting: 'fusionframes_jobs_waiting',
  /** A job that may be running was cancelled: `<id>`. */
  cancelled: 'fusionframes_job_cancelled',
} as const;

/** Tells when the transaction commits; the driver's own `notify` would do so at once, from another connection. */
export async function notify(sql: TransactionSql, channel: string, payload = ''): Promise<void> {
  await sql`select pg_notify(${channel}, ${payload})`;
}
