import type { TransactionSql } from 'postgres';

/** Channels on which the database notifies all replicas. */
export const channels = {
  /** A job has new events, up to a number: `<id> <number>`. */
  events: 'fusionframes_job_events',
  /** A job is waiting for a replica with a free slot. */
  waiting: 'fusionframes_jobs_waiting',
  /** A job that may be running was ended, not by its worker: `<id>`. */
  cancelled: 'fusionframes_job_cancelled',
  /** An operator has changed the mode of a gateway. */
  gateways: 'fusionframes_gateways',
} as const;

/** Notifies when the transaction commits; the driver's own `notify` would do so at once, over another connection. */
export async function notify(sql: TransactionSql, channel: string, payload = ''): Promise<void> {
  await sql`select pg_notify(${channel}, ${payload})`;
}
