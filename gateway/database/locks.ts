import type { TransactionSql } from 'postgres';

/** Keys of PostgreSQL's advisory locks: arbitrary, and the same in every release. */
const locks = { migrate: 0x66757369, claim: 5_013_001, create: 5_013_002, webhookKey: 0x66757377 } as const;

/**
 * Takes a lock until the transaction ends. It is sent at once, ahead of the transaction's later statements: they see what
 * earlier holders committed, and fail when it fails. Only other work has to wait for it to resolve.
 */
export function lock(sql: TransactionSql, name: keyof typeof locks): Promise<unknown> {
  return sql.unsafe(`select pg_advisory_xact_lock(${locks[name]})`).execute();
}
