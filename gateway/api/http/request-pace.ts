import type { EventEmitter } from 'node:events';

/** How many waiting requests start in one turn of the event loop. */
const startsPerTurn = 8;

interface Waiting {
  start(): void;
  since: number;
}

/**
 * Starts requests at a pace that lets connections be accepted: Node accepts one in each turn of the event loop, so a probe
 * that connects behind hundreds of requests would otherwise wait until they are all served. Requests start in order, none
 * while connections are being accepted.
 */
export class RequestPace {
  readonly #maxHold: number;
  readonly #waiting: Waiting[] = [];
  #hasAccepted = false;

  /** @param maxHold how long requests are held back while connections are accepted, milliseconds; then one starts per turn */
  constructor(server: EventEmitter, maxHold = 3000) {
    this.#maxHold = maxHold;
    server.on('connection', () => {
      this.#hasAccepted = true;
    });
  }

  /** Resolves when the request may start. */
  turn(): Promise<void> {
    return new Promise((start) => {
      this.#waiting.push({ start, since: performance.now() });
      if (this.#waiting.length === 1) {
        setImmediate(() => this.#startSome());
      }
    });
  }

  #startSome(): void {
    for (const { start } of this.#waiting.splice(0, this.#startsNow())) {
      start();
    }
    this.#hasAccepted = false;
    if (this.#waiting.length > 0) {
      setImmediate(() => this.#startSome());
    }
  }

  #startsNow(): number {
    if (!this.#hasAccepted) {
      return startsPerTurn;
    }
    return performance.now() - this.#waiting[0]!.since >= this.#maxHold ? 1 : 0;
  }
}
