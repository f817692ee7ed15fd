import type { Sql } from 'postgres';

/** A call that is due. */
export interface DueDelivery {
  id: string;
  jobId: string;
  /** What it is about; empty in calls that the release before scheduled: the job's end. */
  event: string;
  /** Number of that event among the job's; null: the job's last. */
  revision: number | null;
  /** Host of its URL, without the port. */
  receiver: string;
  /** Key that created the job. */
  keyId: string;
  /** Number of attempts, including this one. */
  attempts: number;
}

/** Maximum number of concurrent calls: in total, per receiver (a host, whatever the port) and per key. */
export interface CallBounds {
  total: number;
  perReceiver: number;
  perKey: number;
}

/** The database notifies replicas of new calls on this channel. */
export const dueChannel = 'fusionframes_webhooks_due';

/** Lease of a claimed call, in seconds, after which another replica may make it; longer than a call may take. */
const leaseSeconds = 60;

/**
 * Claims due calls for a minute, within the limits minus the calls in progress here. A receiver that does not answer
 * uses up only its own slots.
 */
export async function claimDeliveries(
  sql: Sql,
  { total, perReceiver, perKey }: CallBounds,
  underWay: readonly DueDelivery[],
): Promise<DueDelivery[]> {
  const due = sql`next_attempt_at <= now() and delivered_at is null and abandoned_at is null`;
  const busyReceivers = sql.json(countBy(underWay, ({ receiver }) => receiver));
  const busyKeys = sql.json(countBy(underWay, ({ keyId }) => keyId));
  return sql<DueDelivery[]>`
    with recursive receivers as (
      (select receiver from webhook_deliveries where ${due} order by receiver limit 1)
      union all
      -- One step of the index for each receiver, however many calls each of them waits for.
      select (select delivery.receiver from webhook_deliveries as delivery
        where delivery.receiver > receivers.receiver and ${due} order by delivery.receiver limit 1)
      from receivers where receivers.receiver is not null
    ), candidates as (
      select delivery.*, row_number() over (partition by key_id order by next_attempt_at) as number_of_key
      from receivers cross join lateral (
        select id, key_id, next_attempt_at from webhook_deliveries
        where receiver = receivers.receiver and ${due} order by next_attempt_at
        limit greatest(0, ${perReceiver}::int - coalesce((${busyReceivers}::jsonb ->> receivers.receiver)::int, 0))
      ) as delivery
    )
    update webhook_deliveries
    set attempts = attempts + 1, next_attempt_at = now() + ${leaseSeconds} * interval '1 second'
    where id in (
      select id from webhook_deliveries
      where ${due} and id in (
        select id from candidates
        where number_of_key <= ${perKey}::int - coalesce((${busyKeys}::jsonb ->> key_id)::int, 0)
        order by next_attempt_at limit ${Math.max(0, total - underWay.length)})
      for update skip locked)
    returning id, job_id as "jobId", event, revision, receiver, key_id as "keyId", attempts`;
}

export async function markDelivered(sql: Sql, id: string): Promise<void> {
  await sql`update webhook_deliveries set delivered_at = now(), last_error = '' where id = ${id}`;
}

/** Records a failed call. Without `retrySeconds` it is not retried. */
export async function markFailed(sql: Sql, id: string, error: string, retrySeconds: number | undefined): Promise<void> {
  if (retrySeconds === undefined) {
    await sql`update webhook_deliveries set abandoned_at = now(), last_error = ${error} where id = ${id}`;
    return;
  }
  await sql`
    update webhook_deliveries
    set next_attempt_at = now() + ${retrySeconds}::float8 * interval '1 second', last_error = ${error} where id = ${id}`;
}

/**
 * Shortens waits that are longer than any retry delay, because the database's clock was set back.
 *
 * @param retrySeconds delays after each failed attempt
 */
export async function shortenWaits(sql: Sql, retrySeconds: readonly number[]): Promise<void> {
  const wait = sql`greatest(${leaseSeconds}, coalesce((${`{${retrySeconds}}`}::float8[])[attempts], 0)) * interval '1 second'`;
  await sql`
    update webhook_deliveries set next_attempt_at = now() + ${wait}
    where delivered_at is null and abandoned_at is null and next_attempt_at > now() + ${wait} + interval '1 minute'`;
}

function countBy(deliveries: readonly DueDelivery[], name: (delivery: DueDelivery) => string): Record<string, number> {
  const counts: Record<string, number> = Object.create(null);
  for (const delivery of deliveries) {
    counts[name(delivery)] = (counts[name(delivery)] ?? 0) + 1;
  }
  return counts;
}
