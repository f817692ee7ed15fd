import { deferred } from '../kit/deferred.ts';

/**
 * Bounds the bytes of the requests in flight, so that many concurrent calls wait here instead of in memory. First come,
 * first served: a large request is not overtaken for ever by small ones.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiting: { bytes: number; admit: () => void }[] = [];
  #used = 0;

  /** @param limit bytes; a single larger request is let through alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for room and takes it; the answer gives it back. Rejects with the signal's reason when aborted first. */
  async take(bytes: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      await this.#wait(bytes, signal);
    } else {
      this.#used += bytes;
    }
    let released = false;
    return () => {
      if (!released) {
        released = true;
        this.#used -= bytes;
        this.#admit();
      }
    };
  }

  async #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = deferred();
    const entry = { bytes, admit: resolve };
    const leave = () => {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      reject(signal?.reason);
      this.#admit();
    };
    this.#waiting.push(entry);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#limit;
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#used += next.bytes;
      next.admit();
    }
  }
}
