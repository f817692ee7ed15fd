import type { TransactionSql } from 'postgres';

/** Keys of PostgreSQL advisory locks: arbitrary, but the same in every release. */
const locks = {
  migrate: 0x66757369,
  claim: 5_013_001,
  create: 5_013_002,
  operate: 5_013_003,
  webhookKey: 0x66757377,
} as const;

/**
 * Takes a lock until the transaction ends. It is sent immediately, ahead of the transaction's later statements, which
 * see what earlier holders committed and fail if the lock fails. Only work outside the transaction has to await it.
 */
export function lock(sql: TransactionSql, name: keyof typeof locks): Promise<unknown> {
  return sql.unsafe(`select pg_advisory_xact_lock(${locks[name]})`).execute();
}
