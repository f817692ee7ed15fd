import { LRUCache } from 'lru-cache';
import type { Logger } from '../log.ts';

/** Time between two lines about the same thing, milliseconds. */
const interval = 60_000;

/** Warns about misbehaving callers, once a minute for each, so that they cannot flood the log. */
export class OccasionalLog {
  readonly #log: Logger;
  readonly #told = new LRUCache<string, true>({ max: 1000, ttl: interval });

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param caller address or key */
  warn(caller: string, about: object, message: string): void {
    const name = `${caller} ${message}`;
    if (!this.#told.has(name)) {
      this.#told.set(name, true);
      this.#log.warn(about, message);
    }
  }
}
