import type { Sql, TransactionSql } from 'postgres';
import { ask } from '../database/ask.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import type { ApiKey } from '../keys/api-key.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { type KeyValues, keyChanges, newKey } from '../keys/key-fields.ts';
import { type Action, recordAction } from './actions.ts';

export interface KeyStore {
  sql: Sql;
  keys: ApiKeys;
}

/** How changes of keys are recorded. */
export interface Recording {
  /** Id of the operator's key; empty without one. */
  keyId: string;
  /** Records an action in the transaction that does it. */
  record?(sql: TransactionSql, action: Action): Promise<void>;
  /** Called once it is done. */
  onDone?(action: Action): void;
}

/** Creates a key and records that in the same transaction. Throws INVALID_ARGUMENT. */
export async function createKey(
  { sql, keys }: KeyStore,
  values: Partial<KeyValues> & { name: string },
  { keyId, record = recordAction, onDone }: Recording,
): Promise<{ key: ApiKey; text: string }> {
  const actionOn = (id: string): Action => ({ name: 'key.create', target: id, details: { ...values }, keyId });
  const created = await ask(sql, () =>
    keys.create(newKey(values), (transaction, { id }) => record(transaction, actionOn(id))),
  );
  onDone?.(actionOn(created.key.id));
  return created;
}

/** Changes a key and records that in the same transaction, if it is a change. Throws INVALID_ARGUMENT or NOT_FOUND. */
export async function updateKey(
  { sql, keys }: KeyStore,
  id: string,
  values: Partial<KeyValues>,
  { keyId, record = recordAction, onDone }: Recording,
): Promise<ApiKey> {
  const action: Action = { name: 'key.update', target: id, details: { ...values }, keyId };
  let isChange = false;
  const recordChange = async (transaction: TransactionSql) => {
    isChange = true;
    await record(transaction, action);
  };
  const key = await ask(sql, () => keys.update(id, keyChanges(values), recordChange));
  if (isChange) {
    onDone?.(action);
  }
  return key;
}

/**
 * Revokes a key, records that in the same transaction, and cancels the key's jobs, unless they are kept; answers with how
 * many. For a key that was revoked already and has no jobs to cancel, nothing is recorded. Throws NOT_FOUND.
 */
export async function revokeKey(
  { sql, keys, jobs }: KeyStore & { jobs: Pick<VideoJobs, 'cancelAllOfKey'> },
  { id, keepJobs }: { id: string; keepJobs: boolean },
  { keyId, record = recordAction, onDone }: Recording,
): Promise<{ key: ApiKey; cancelled: number }> {
  const action: Action = { name: 'key.revoke', target: id, details: { keepJobs }, keyId };
  let isDone = false;
  const recordUnlessDone = async (transaction: TransactionSql, { revokedAt }: ApiKey) => {
    isDone = revokedAt !== undefined && (keepJobs || !(await hasJobs(transaction, id)));
    if (!isDone) {
      await record(transaction, action);
    }
  };
  const key = await ask(sql, () => keys.revoke(id, recordUnlessDone));
  if (isDone) {
    return { key, cancelled: 0 };
  }
  onDone?.(action);
  const cancelled = keepJobs ? 0 : await jobs.cancelAllOfKey(id);
  return { key, cancelled };
}

async function hasJobs(sql: TransactionSql, keyId: string): Promise<boolean> {
  return (await sql`select 1 from key_loads where key_id = ${keyId} and queued + running > 0`).length > 0;
}
