import { Status } from 'nice-grpc-common';
import { FusionError } from '../errors.ts';

/** Bounds the memory that large requests take together. */
export class HeldBytes {
  readonly #limit: number;
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes bytes until the returned function is called. Throws RESOURCE_EXHAUSTED; a single request is always accepted. */
  take(bytes: number): () => void {
    if (this.#held > 0 && this.#held + bytes > this.#limit) {
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `Requests of ${this.#held} bytes are in progress, the limit is ${this.#limit}; try again later`,
        { reason: 'TOO_MANY_BYTES', retryAfterSeconds: 1 },
      );
    }
    this.#held += bytes;
    let isHeld = true;
    return () => {
      this.#held -= isHeld ? bytes : 0;
      isHeld = false;
    };
  }
}
