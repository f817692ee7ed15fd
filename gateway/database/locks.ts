import type { TransactionSql } from 'postgres';

/** Keys of PostgreSQL's advisory locks: arbitrary, and the same in every release. */
const locks = { migrate: 0x66757369, claim: 5_013_001, create: 5_013_002, webhookKey: 0x66757377 } as const;

/**
 * Takes a lock until the transaction ends: its later statements see what earlier holders committed. The lock is sent ahead
 * of them without waiting for it; when it fails, they fail.
 */
export function lock(sql: TransactionSql, name: keyof typeof locks): void {
  sql.unsafe(`select pg_advisory_xact_lock(${locks[name]})`).execute();
}
