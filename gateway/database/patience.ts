import { AsyncLocalStorage } from 'node:async_hooks';

/** How long a caller waits for the database, in seconds: half a second less than promised, for everything else. */
export const answerSeconds = 4.5;

const patiences = new AsyncLocalStorage<Patience | undefined>();

/**
 * The time that one request may wait for the database until its response begins, in all its questions together. Other
 * time, such as that of its body's arrival, does not count. Questions asked later have the usual time each.
 */
export class Patience {
  readonly #isAnswering: () => boolean;
  readonly seconds: number;
  #usedMilliseconds = 0;
  #waiting = 0;
  #waitingSince = 0;

  /** @param isAnswering whether the response has begun */
  constructor(isAnswering: () => boolean, seconds = answerSeconds) {
    this.#isAnswering = isAnswering;
    this.seconds = seconds;
  }

  /** Has the questions of some work share this time. */
  during<T>(work: () => T): T {
    return patiences.run(this, work);
  }

  /** Milliseconds that a question may still wait. */
  get left(): number {
    if (this.#isAnswering()) {
      return this.seconds * 1000;
    }
    const current = this.#waiting > 0 ? performance.now() - this.#waitingSince : 0;
    return Math.max(0, this.seconds * 1000 - this.#usedMilliseconds - current);
  }

  /** Counts the time until the returned function is called; that of simultaneous questions once. */
  beginWait(): () => void {
    if (this.#waiting++ === 0) {
      this.#waitingSince = performance.now();
    }
    return () => {
      if (--this.#waiting === 0) {
        this.#usedMilliseconds += performance.now() - this.#waitingSince;
      }
    };
  }
}

/** That of the current request; `undefined` outside of one. */
export function currentPatience(): Patience | undefined {
  return patiences.getStore();
}

/** Runs work that a request starts for others too, or leaves behind: its questions have their own time. */
export function outsideRequest<T>(work: () => T): T {
  return patiences.run(undefined, work);
}
