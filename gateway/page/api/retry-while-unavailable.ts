import { ApiError } from './api-error.ts';

/** Pause between attempts, milliseconds. */
const tryPause = 2000;

/**
 * Retries while the gateway is starting, busy or cannot be reached. Calls `onRefusal` after every failed attempt. Throws
 * errors that a retry cannot fix.
 */
export async function retryWhileUnavailable<T>(
  load: () => Promise<T>,
  { signal, onRefusal }: { signal?: AbortSignal; onRefusal?: (error: ApiError) => void } = {},
): Promise<T> {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      if (signal?.aborted || !(error instanceof ApiError && (error.passes || error.status === 429))) {
        throw error;
      }
      onRefusal?.(error);
      await new Promise((resolve) => setTimeout(resolve, tryPause));
      signal?.throwIfAborted();
    }
  }
}
