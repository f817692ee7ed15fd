interface Call<T> {
  result: Promise<T>;
  abort: AbortController;
  waiting: number;
}

/** Shares one call among concurrent callers with the same key; aborts it when the last caller leaves. */
export class SharedCalls<T> {
  readonly #calls = new Map<string, Call<T>>();

  /** Whether a call for `key` is in progress. */
  has(key: string): boolean {
    return this.#calls.has(key);
  }

  /**
   * The result of the call in progress for `key`, or of `start` if there is none. Rejects with the reason of `signal`
   * if that aborts first; other callers are not affected.
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

  /** New callers must not join a call that has ended or is being aborted. */
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
