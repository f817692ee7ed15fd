import { setTimeout as wait } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

export interface RetryOptions {
  /** Pause before the second attempt; doubles with each further one. */
  firstWaitMilliseconds: number;
  signal?: AbortSignal;
}

/** Consecutive failures allowed; progress, or being told when to retry, resets the count. */
export const maxFailures = 6;
/** The hub's rate limit windows are five minutes long. */
const longestWaitSeconds = 900;
const maxRequestedWaits = 20;

/** Retries after UNAVAILABLE; throws the last error. `position` returns how far the attempts have got. */
export async function retry<T>(
  attempt: () => Promise<T>,
  { firstWaitMilliseconds, signal }: RetryOptions,
  position: () => number = () => 0,
): Promise<T> {
  let requestedWaits = 0;
  for (let failures = 0; ; ) {
    const before = position();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      failures = position() > before ? 1 : failures + 1;
      const seconds = mayPass(error) ? error.retryAfterSeconds : undefined;
      if (seconds !== undefined && seconds <= longestWaitSeconds && requestedWaits < maxRequestedWaits) {
        requestedWaits++;
        failures = 0;
        await wait(Math.max(firstWaitMilliseconds, seconds * 1000), undefined, signal && { signal });
        continue;
      }
      if (!mayPass(error) || failures === maxFailures || seconds !== undefined) {
        throw error;
      }
      await wait(firstWaitMilliseconds * 2 ** (failures - 1), undefined, signal && { signal });
    }
  }
}

/** Whether a failure is transient. */
export function mayPass(error: unknown): error is FusionError {
  return error instanceof FusionError && error.code === Status.UNAVAILABLE;
}
