import type { QueuedJob } from './queue-snapshot.ts';

export interface End {
  job: Pick<QueuedJob, 'keyId' | 'model' | 'version' | 'settings'>;
  at: number;
  /** Whether another job can have its place. */
  frees: boolean;
}

/** When running jobs end, earliest first. */
export class EndTimes {
  /** Descending. */
  readonly #ends: End[] = [];

  add(end: End): void {
    let [low, high] = [0, this.#ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      [low, high] = this.#ends[middle]!.at > end.at ? [middle + 1, high] : [low, middle];
    }
    this.#ends.splice(low, 0, end);
  }

  /** The next one, unless it is later than `limit`. */
  next(limit: number): End | undefined {
    return this.#ends.length > 0 && this.#ends.at(-1)!.at <= limit ? this.#ends.pop() : undefined;
  }
}
