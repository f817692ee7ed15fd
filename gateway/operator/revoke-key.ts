import type { Sql } from 'postgres';
import { ask } from '../database/ask.ts';
import type { VideoJobs } from '../jobs/video-jobs.ts';
import type { ApiKey } from '../keys/api-key.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { type Action, recordAction } from './actions.ts';

export interface Revocation {
  id: string;
  /** Whether its jobs are not cancelled. */
  keepJobs: boolean;
  /** Id of the operator's key; empty without one. */
  keyId: string;
}

/**
 * Revokes a key, records that in the same transaction, and cancels the key's jobs, unless they are kept; answers with how
 * many. Throws NOT_FOUND.
 *
 * @param onRevoked called before the jobs are cancelled
 */
export async function revokeKey(
  { sql, keys, jobs }: { sql: Sql; keys: ApiKeys; jobs: Pick<VideoJobs, 'cancelAllOfKey'> },
  { id, keepJobs, keyId }: Revocation,
  { record = recordAction, onRevoked = (_: Action) => {} } = {},
): Promise<{ key: ApiKey; cancelled: number }> {
  const action: Action = { name: 'key.revoke', target: id, details: { keepJobs }, keyId };
  const key = await ask(sql, () => keys.revoke(id, (transaction) => record(transaction, action)));
  onRevoked(action);
  const cancelled = keepJobs ? 0 : await jobs.cancelAllOfKey(id);
  return { key, cancelled };
}
