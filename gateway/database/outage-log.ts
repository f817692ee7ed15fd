import { FusionError } from '../../services/kit/errors.ts';
import type { Logger } from '../../services/kit/log.ts';

/** Tells the log when the database has gone and when it is back, once each, however often it is asked in between. */
export class OutageLog {
  readonly #log: Logger;
  #since: number | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** It answered. */
  answered(): void {
    if (this.#since !== undefined) {
      const seconds = Math.round((performance.now() - this.#since) / 1000);
      this.#since = undefined;
      this.#log.info({ seconds, notice: true }, 'the database is back');
    }
  }

  /** It is away, as `error` says. */
  missing(error: Error): void {
    if (this.#since === undefined) {
      this.#since = performance.now();
      this.#log.warn(
        { reason: error.message },
        'the database is unreachable: calls fail with UNAVAILABLE, and jobs continue when it is back',
      );
    }
  }
}

/** Whether an error of `databaseError()` says that the database is away, and no more. */
export function isDatabaseAway(error: unknown): error is FusionError {
  return error instanceof FusionError && error.reason === 'DATABASE_UNAVAILABLE';
}

/**
 * Logs a failure that is retried or harmless. That the database is away is not logged again for all callers:
 * {@link OutageLog} reports it once.
 */
export function warnUnlessAway(log: Logger, error: unknown, about: object, message: string): void {
  if (isDatabaseAway(error)) {
    log.debug({ ...about, reason: error.message }, message);
  } else {
    log.warn({ ...about, err: error }, message);
  }
}
