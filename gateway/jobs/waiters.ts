/** Lets callers wait for an event. */
export class Waiters {
  readonly #wakes = new Set<() => void>();

  /** Resolves every pending wait. */
  wake(): void {
    const wakes = [...this.#wakes];
    this.#wakes.clear();
    for (const wake of wakes) {
      wake();
    }
  }

  /** Resolves at the next {@link wake}; rejects with an AbortError when `signal` aborts before. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#wakes.delete(onWake);
        reject(new DOMException('The wait was aborted', 'AbortError'));
      };
      const onWake = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wakes.add(onWake);
    });
  }
}
