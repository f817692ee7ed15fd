import { Status } from 'nice-grpc-common';
import { deferred } from '../../kit/deferred.ts';
import { FusionError } from '../../kit/errors.ts';
import { add, record } from '../../kit/telemetry/metrics.ts';

/**
 * Limits the bytes of requests in flight, so that many concurrent calls do not exhaust memory. First come, first served: small
 * requests cannot overtake a large one indefinitely.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiting: { bytes: number; admit: () => void }[] = [];
  #used = 0;

  /** @param limit bytes; a larger request runs alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Waits for room and takes it; the result releases it. Rejects with the signal's reason if aborted first and with
   * DEADLINE_EXCEEDED if room does not become free in time.
   */
  async take(bytes: number, timeoutSeconds: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const start = performance.now();
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      await this.#wait(bytes, timeoutSeconds, signal);
    } else {
      this.#used += bytes;
    }
    record('fusionframes.inference.room.wait', (performance.now() - start) / 1000, {});
    add('fusionframes.inference.bytes_in_flight', bytes, {});
    let released = false;
    return () => {
      if (!released) {
        released = true;
        this.#used -= bytes;
        add('fusionframes.inference.bytes_in_flight', -bytes, {});
        this.#admit();
      }
    };
  }

  async #wait(bytes: number, timeoutSeconds: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = deferred();
    const entry = { bytes, admit: resolve };
    const leave = (reason: unknown) => {
      const index = this.#waiting.indexOf(entry);
      if (index >= 0) {
        this.#waiting.splice(index, 1);
        reject(reason);
        this.#admit();
      }
    };
    const abort = () => leave(signal?.reason);
    const timer = setTimeout(() => leave(this.#noRoom(bytes, timeoutSeconds)), timeoutSeconds * 1000);
    this.#waiting.push(entry);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  #noRoom(bytes: number, seconds: number): FusionError {
    return new FusionError(
      Status.DEADLINE_EXCEEDED,
      `a request of ${bytes} bytes waited ${seconds} s for others to end: ${this.#used} of ${this.#limit} bytes are in flight`,
      { reason: 'TOO_MANY_BYTES' },
    );
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
