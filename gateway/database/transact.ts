import type { Sql, TransactionSql } from 'postgres';
import { deferred } from '../../services/kit/deferred.ts';
import { isConnectionLoss } from './database-error.ts';

export interface TransactOptions {
  /** Nothing is committed once it has aborted. */
  signal?: AbortSignal | undefined;
  /** Called just before the commit is sent: until then a failure means that nothing happened. */
  onCommit?: (() => void) | undefined;
}

/**
 * Does `work` in a transaction: committed when this resolves, rolled back when it throws. Throws what `work` and the database
 * throw, and the signal's reason.
 */
export function transact<T>(
  sql: Sql,
  work: (transaction: TransactionSql) => Promise<T>,
  { signal, onCommit }: TransactOptions = {},
): Promise<T> {
  const lost = deferred<never>();
  const done = sql.begin(async (transaction) => {
    try {
      signal?.throwIfAborted();
      const result = await work(transaction);
      signal?.throwIfAborted();
      onCommit?.();
      return result;
    } catch (error) {
      if (endsTransaction(error)) {
        // The driver would send a rollback down the connection that is gone: an error that cannot be caught, and a
        // connection that never comes back. It gives the transaction up by itself as soon as its socket has closed.
        lost.reject(error);
        return await new Promise<never>(() => {});
      }
      throw error;
    }
  }) as Promise<T>;
  return Promise.race([done, lost.promise]);
}

/** Whether the connection went with it. Others that pass, such as of a server that only reads, leave it to be used. */
function endsTransaction(error: unknown): boolean {
  const { severity } = error as { severity?: string };
  return severity === undefined ? isConnectionLoss(error) : severity !== 'ERROR';
}
