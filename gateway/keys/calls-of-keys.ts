import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { Counts } from '../../services/kit/limits/counts.ts';
import { OccasionalLog } from '../../services/kit/limits/occasional-log.ts';
import type { Logger } from '../../services/kit/log.ts';
import type { Caller } from './caller.ts';

/** Bounds the concurrent calls and requests of each key at this gateway, so that no key locks out others. */
export class CallsOfKeys {
  readonly #limit: number;
  readonly #log: OccasionalLog;
  readonly #inProgress = new Counts();

  constructor(limit: number, log: Logger) {
    this.#limit = limit;
    this.#log = new OccasionalLog(log);
  }

  /**
   * Takes a slot for a call; the returned function frees it and must be called once. A caller without a key is on this
   * machine and unbounded. Throws RESOURCE_EXHAUSTED.
   */
  enter({ keyId }: Caller): () => void {
    if (keyId === '') {
      return () => {};
    }
    if (this.#inProgress.get(keyId) >= this.#limit) {
      this.#log.warn(keyId, { key: keyId, allowed: this.#limit }, 'an API key has too many calls in progress');
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `This API key has ${this.#limit} calls in progress, the most allowed; try again later`,
        { reason: 'TOO_MANY_CALLS_OF_KEY', retryAfterSeconds: 1 },
      );
    }
    this.#inProgress.add(keyId, 1);
    return () => this.#inProgress.add(keyId, -1);
  }
}
