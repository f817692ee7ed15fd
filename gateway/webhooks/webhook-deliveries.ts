import type { Sql } from 'postgres';

/** A call that is to be made now. */
export interface DueDelivery {
  id: string;
  jobId: string;
  /** This one included. */
  attempts: number;
}

/** Longer than a call may take: then another replica may make it. */
const leaseSeconds = 60;

/** Takes calls whose time has come; whoever takes one has it for a minute. */
export async function claimDeliveries(sql: Sql, limit: number): Promise<DueDelivery[]> {
  return sql<DueDelivery[]>`
    update webhook_deliveries
    set attempts = attempts + 1, next_attempt_at = now() + ${leaseSeconds} * interval '1 second'
    where id in (
      select id from webhook_deliveries
      where next_attempt_at <= now() and delivered_at is null and abandoned_at is null
      order by next_attempt_at limit ${limit} for update skip locked)
    returning id, job_id as "jobId", attempts`;
}

export async function markDelivered(sql: Sql, id: string): Promise<void> {
  await sql`update webhook_deliveries set delivered_at = now(), last_error = '' where id = ${id}`;
}

/** Notes a call that failed; `undefined`: there will be no other. */
export async function markFailed(sql: Sql, id: string, error: string, retrySeconds: number | undefined): Promise<void> {
  if (retrySeconds === undefined) {
    await sql`update webhook_deliveries set abandoned_at = now(), last_error = ${error} where id = ${id}`;
    return;
  }
  await sql`
    update webhook_deliveries
    set next_attempt_at = now() + ${retrySeconds}::float8 * interval '1 second', last_error = ${error} where id = ${id}`;
}
