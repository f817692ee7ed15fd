import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { Counts } from '../../services/kit/limits/counts.ts';
import { OccasionalLog } from '../../services/kit/limits/occasional-log.ts';
import type { Logger } from '../../services/kit/log.ts';
import type { Caller } from './caller.ts';

/** Bounds the calls and requests of one key that are under way at this gateway, so that none of them keeps others out. */
export class CallsOfKeys {
  readonly #limit: number;
  readonly #log: OccasionalLog;
  readonly #underWay = new Counts();

  constructor(limit: number, log: Logger) {
    this.#limit = limit;
    this.#log = new OccasionalLog(log);
  }

  /**
   * Takes a place for a call; the function given back, to be called once, frees it. A caller without a key, who is on this
   * machine, has the whole gateway. Throws RESOURCE_EXHAUSTED.
   */
  enter({ keyId }: Caller): () => void {
    if (keyId === '') {
      return () => {};
    }
    if (this.#underWay.get(keyId) >= this.#limit) {
      this.#log.warn(keyId, { key: keyId, allowed: this.#limit }, 'an API key has too many calls under way');
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `This API key has ${this.#limit} calls under way, as many as are allowed; try again later`,
        { reason: 'TOO_MANY_CALLS_OF_KEY', retryAfterSeconds: 1 },
      );
    }
    this.#underWay.add(keyId, 1);
    return () => this.#underWay.add(keyId, -1);
  }
}
