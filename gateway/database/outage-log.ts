import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';

/** Logs once when the database becomes unreachable and once when it is reachable again. */
export class OutageLog {
  readonly #log: Logger;
  #since: number | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The database answered. */
  answered(): void {
    if (this.#since !== undefined) {
      const seconds = Math.round((performance.now() - this.#since) / 1000);
      this.#since = undefined;
      this.#log.info({ seconds, notice: true }, 'the database is back');
    }
  }

  /** The database is unreachable, as `error` says. */
  missing(error: Error): void {
    if (this.#since === undefined) {
      this.#since = performance.now();
      this.#log.warn(
        { reason: error.message },
        'the database is unreachable: calls fail with UNAVAILABLE, jobs resume when it is back',
      );
    }
  }
}

/** Whether an error of `databaseError()` only says that the database is unreachable. */
export function isDatabaseAway(error: unknown): error is FusionError {
  return error instanceof FusionError && error.reason === 'DATABASE_UNAVAILABLE';
}

/**
 * Logs a failure that is retried or harmless, unless it only says that the database is unreachable: {@link OutageLog}
 * reports that once for all callers.
 */
export function warnUnlessAway(log: Logger, error: unknown, about: object, message: string): void {
  if (isDatabaseAway(error)) {
    log.debug({ ...about, reason: error.message }, message);
  } else {
    log.warn({ ...about, err: error }, message);
  }
}
