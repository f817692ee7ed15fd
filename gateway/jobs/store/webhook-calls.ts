import type { ISql, TransactionSql } from 'postgres';
import type { WebhookEvent } from '../job.ts';

/** Whether a row with the column `webhook` is subscribed to an event; without a list, when the job ends. */
export function wantsCall(sql: ISql, event: WebhookEvent) {
  return event === 'completed' || event === 'failed'
    ? sql`webhook is not null and coalesce(webhook->'events' ? ${event}, true)`
    : sql`webhook->'events' ? ${event}`;
}

/** Schedules the call for the latest event of a job, if its webhook wants it. */
export async function scheduleCall(sql: TransactionSql, id: string, event: WebhookEvent): Promise<void> {
  await sql`
    insert into webhook_deliveries (job_id, event, revision) select id, ${event}, revision from jobs
    where id = ${id} and ${wantsCall(sql, event)}`;
}
