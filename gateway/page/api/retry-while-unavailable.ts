import { ApiError } from './api-error.ts';

/** Between two tries, milliseconds. */
const tryPause = 2000;

/**
 * Repeats until the gateway answers: it may be starting, or be away for a while. `onRefusal` is told of every answer that
 * is none. Throws what trying again cannot mend.
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
