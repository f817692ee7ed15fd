interface Call<T> {
  result: Promise<T>;
  abort: AbortController;
  waiting: number;
}

/** Lets concurrent callers that want the same thing share one call; it is aborted when the last of them has left. */
export class SharedCalls<T> {
  readonly #calls = new Map<string, Call<T>>();

  /** Whether a call for `key` is under way. */
  has(key: string): boolean {
    return this.#calls.has(key);
  }

  /**
   * The result of the call under way for `key`, or of `start`, which is called when there is none. Rejects with the
   * reason of `signal` when it is aborted first; others that wait are not disturbed.
   */
  async join(key: string, signal: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const call = this.#calls.get(key) ?? this.#begin(key, start);
    call.waiting++;
    try {
      return await unlessAborted(call.result, signal);
    } finally {
      if (--call.waiting === 0) {
        this.#forget(key, call);
        call.abort.abort();
      }
    }
  }

  #begin(key: string, start: (signal: AbortSignal) => Promise<T>): Call<T> {
    const abort = new AbortController();
    const call = { result: start(abort.signal), abort, waiting: 0 };
    this.#calls.set(key, call);
    return call;
  }

  /** Whoever comes now must not join a call that has ended or is being aborted. */
  #forget(key: string, call: Call<T>): void {
    if (this.#calls.get(key) === call) {
      this.#calls.delete(key);
    }
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
