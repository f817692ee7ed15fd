import type { JSONValue, Sql, TransactionSql } from 'postgres';

export const actionNames = [
  'gateway.pause',
  'gateway.drain',
  'gateway.resume',
  'key.create',
  'key.update',
  'key.revoke',
  'video.priority',
] as const;

/** An action of an operator. */
export interface Action {
  name: (typeof actionNames)[number];
  /** Its target: a gateway's name, or the id of a key or job. */
  target: string;
  details: Readonly<Record<string, JSONValue>>;
  /** Id of the operator's key; empty while there are no keys, and for the command line. */
  keyId: string;
}

export interface RecordedAction extends Action {
  /** From 1, in order. */
  number: number;
  at: Date;
  /** Name of the operator's key. */
  keyName: string;
}

/** Records an action in the transaction that does it. */
export async function recordAction(sql: TransactionSql, { name, target, details, keyId }: Action): Promise<void> {
  await sql`
    insert into operator_actions (key_id, action, target, details)
    values (${keyId}, ${name}, ${target}, ${sql.json(details)})`;
}

/** Latest first, before a number. */
export async function readActions(sql: Sql, limit: number, before: number | undefined): Promise<RecordedAction[]> {
  return sql<RecordedAction[]>`
    select number::float8 as number, at, action as name, target, details, key_id as "keyId",
      coalesce((select name from api_keys where id = key_id), '') as "keyName"
    from operator_actions
    where ${before === undefined ? sql`true` : sql`number < ${before}`}
    order by number desc limit ${limit}`;
}
