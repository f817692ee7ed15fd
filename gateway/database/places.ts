import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';

/** A semaphore: limits how many callers run at once; the others wait in order. */
export class Places {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves with a release function once a slot is free; rejects with the signal's reason if it aborts first. */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
    } else {
      await this.#wait(signal);
    }
    return () => this.#leave();
  }

  /** Enters within `seconds`, else throws RESOURCE_EXHAUSTED with the message. */
  async enterWithin(seconds: number, message: string, signal?: AbortSignal): Promise<() => void> {
    const limit = timeLimit(seconds * 1000, signal);
    try {
      return await this.enter(limit.signal);
    } catch (error) {
      throw limit.isOver
        ? new FusionError(Status.RESOURCE_EXHAUSTED, message, {
            reason: 'TOO_MANY_CALLS',
            retryAfterSeconds: 5,
            cause: error,
          })
        : error;
    } finally {
      limit.end();
    }
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onFree = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting.delete(onFree);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(onFree);
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next) {
      this.#waiting.delete(next);
      next();
    } else {
      this.#free++;
    }
  }
}
