import { setTimeout as delay } from 'node:timers/promises';
import { abortable } from '../../services/kit/abortable.ts';
import { databaseError, isConnectionLoss, isDiskFull } from './database-error.ts';

const firstPause = 50;
const maxPause = 1000;

export interface RetryOnLossOptions {
  /** How long to retry, in seconds. */
  seconds: number;
  /** Stops retrying immediately. */
  signal?: AbortSignal;
}

/**
 * Runs `work`, retrying while the database is unreachable or its disk is full; throws UNAVAILABLE or RESOURCE_EXHAUSTED
 * when the time is up. `work` may have taken effect although its connection was lost, so it must be idempotent.
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
