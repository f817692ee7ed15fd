import { setTimeout as delay } from 'node:timers/promises';
import { abortable } from '../../services/kit/abortable.ts';
import { databaseError, isConnectionLoss, isDiskFull } from './database-error.ts';

const firstPause = 50;
const maxPause = 1000;

export interface RetryOnLossOptions {
  /** How long to retry, seconds. */
  seconds: number;
  /** Ends the tries at once. */
  signal?: AbortSignal;
}

/**
 * Does something with the database, again and again while the database is out of reach or its disk is full; then throws
 * UNAVAILABLE or RESOURCE_EXHAUSTED. `work` may have happened although its connection was lost: it must do no harm twice.
 */
export async function retryOnLoss<T>(work: () => Promise<T>, { seconds, signal }: RetryOnLossOptions): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (let pause = firstPause; ; pause = Math.min(2 * pause, maxPause)) {
    try {
      return await (signal ? abortable(signal, work()) : work());
    } catch (error) {
      signal?.throwIfAborted();
      if (!(isConnectionLoss(error) || isDiskFull(error)) || performance.now() + pause > deadline) {
        throw databaseError(error);
      }
      await delay(pause, undefined, signal ? { signal } : {});
    }
  }
}
