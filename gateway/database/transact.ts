import type { Sql, TransactionSql } from 'postgres';
import { deferred } from '../../services/kit/deferred.ts';
import { isConnectionLoss } from './database-error.ts';

export interface TransactOptions {
  /** Once it has aborted, nothing is committed. */
  signal?: AbortSignal | undefined;
  /** Called just before the commit is sent: until then a failure means that nothing happened. */
  onCommit?: (() => void) | undefined;
}

/**
 * Runs `work` in a transaction, which is committed when this resolves and rolled back when it throws. Throws whatever
 * `work` or the database throws, and the signal's reason.
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
        // The driver would send a rollback over the lost connection, which throws uncatchably and leaks the connection.
        // It abandons the transaction by itself once the socket has closed.
        lost.reject(error);
        return await new Promise<never>(() => {});
      }
      throw error;
    }
  }) as Promise<T>;
  return Promise.race([done, lost.promise]);
}

/** Whether the error took the connection with it. After others (a read-only server, say) it is still usable. */
function endsTransaction(error: unknown): boolean {
  const { severity } = error as { severity?: string };
  return severity === undefined ? isConnectionLoss(error) : severity !== 'ERROR';
}
