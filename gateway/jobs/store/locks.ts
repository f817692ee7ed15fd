import type { TransactionSql } from 'postgres';

/** Locks that a transaction holds to its end: any numbers that nothing else in the database uses. */
const locks = { claim: 5_013_001, create: 5_013_002 } as const;

/**
 * Takes a lock: statements that the transaction makes from now on see what was committed before. It is sent ahead of
 * them, not waited for; if it fails, they do.
 */
export function lock(sql: TransactionSql, name: keyof typeof locks): void {
  sql.unsafe(`select pg_advisory_xact_lock(${locks[name]})`).execute();
}
