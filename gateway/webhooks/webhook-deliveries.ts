import type { Sql } from 'postgres';

/** A call that is due. */
export interface DueDelivery {
  id: string;
  jobId: string;
  /** What it is about; empty in calls that the previous release scheduled: the job's end. */
  event: string;
  /** Number of that event among the job's; null: the job's last. */
  revision: number | null;
  /** Host of its URL, without the port. */
  receiver: string;
  /** Key that created the job. */
  keyId: string;
  /** Number of attempts, including this one. */
  attempts: number;
  /** Whether the receiver answered its last call promptly. */
  isProven: boolean;
}

/**
 * Maximum number of concurrent calls: in total, per receiver (a host, whatever the port) and per key. A receiver that did
 * not answer its last call promptly, or was never called, has one place; all of those together have half of the places of
 * their key and half of the total.
 */
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
 * Claims due calls for a minute, within the limits minus the calls in progress here. Receivers that do not answer use up
 * only the part of the places that unproven receivers have; among those, the one called longest ago or never comes first.
 */
export async function claimDeliveries(
  sql: Sql,
  { total, perReceiver, perKey }: CallBounds,
  inProgress: readonly DueDelivery[],
): Promise<DueDelivery[]> {
  const due = sql`next_attempt_at <= now() and delivered_at is null and abandoned_at is null`;
  const unproven = inProgress.filter(({ isProven }) => !isProven);
  const busyReceivers = sql.json(countBy(inProgress, ({ receiver }) => receiver));
  const busyKeys = sql.json(countBy(inProgress, ({ keyId }) => keyId));
  const unprovenOfKeys = sql.json(countBy(unproven, ({ keyId }) => keyId));
  return sql<DueDelivery[]>`
    with recursive receivers as (
      (select receiver from webhook_deliveries where ${due} order by receiver limit 1)
      union all
      -- One step of the index for each receiver, however many calls each of them waits for.
      select (select delivery.receiver from webhook_deliveries as delivery
        where delivery.receiver > receivers.receiver and ${due} order by delivery.receiver limit 1)
      from receivers where receivers.receiver is not null
    ), candidates as (
      select delivery.*, coalesce(known.is_prompt, false) as is_proven, known.called_at
      from receivers left join webhook_receivers as known using (receiver) cross join lateral (
        select id, key_id, next_attempt_at from webhook_deliveries
        where receiver = receivers.receiver and ${due} order by next_attempt_at
        limit greatest(0, case when known.is_prompt then ${perReceiver}::int else 1 end
          - coalesce((${busyReceivers}::jsonb ->> receivers.receiver)::int, 0))
      ) as delivery
    ), of_keys as (
      select *, row_number() over (partition by key_id order by is_proven desc, next_attempt_at) as place,
        row_number() over (
          partition by key_id, is_proven
          order by case when is_proven then next_attempt_at else called_at end nulls first, next_attempt_at
        ) as place_among_equals
      from candidates
    ), allowed as (
      select *, row_number() over (partition by is_proven order by place_among_equals, next_attempt_at) as turn
      from of_keys
      where place <= ${perKey}::int - coalesce((${busyKeys}::jsonb ->> key_id)::int, 0)
        and (is_proven or place_among_equals
          <= ${half(perKey)}::int - coalesce((${unprovenOfKeys}::jsonb ->> key_id)::int, 0))
    )
    update webhook_deliveries
    set attempts = attempts + 1, next_attempt_at = now() + ${leaseSeconds} * interval '1 second'
    where id in (
      select id from webhook_deliveries
      where ${due} and id in (
        select id from allowed where is_proven or turn <= ${half(total) - unproven.length}::int
        order by place_among_equals, next_attempt_at limit ${Math.max(0, total - inProgress.length)})
      for update skip locked)
    returning id, job_id as "jobId", event, revision, receiver, key_id as "keyId", attempts,
      exists (select 1 from webhook_receivers as known
        where known.receiver = webhook_deliveries.receiver and known.is_prompt) as "isProven"`;
}

function half(places: number): number {
  return Math.ceil(places / 2);
}

/** Records whether a call was answered promptly, unless that is known. */
export async function noteAnswer(sql: Sql, { receiver, isProven }: DueDelivery, isPrompt: boolean): Promise<void> {
  if (isPrompt && isProven) {
    return;
  }
  await sql`
    insert into webhook_receivers (receiver, is_prompt) values (${receiver}, ${isPrompt})
    on conflict (receiver) do update set is_prompt = excluded.is_prompt, called_at = excluded.called_at`;
}

/** Forgets receivers after a day: one call shows what they are, and names are unlimited. */
export async function forgetReceivers(sql: Sql): Promise<void> {
  await sql`delete from webhook_receivers where called_at < now() - interval '1 day'`;
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
