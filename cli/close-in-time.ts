import type { Scope } from '../services/kit/scope.ts';
import { within } from '../services/kit/within.ts';

/** Longest that ending takes beyond the drain, seconds. */
const stopSeconds = 15;
/** The same when nothing has started that is worth a drain. */
const failedStopSeconds = 5;

/**
 * Closes what a process has started. Throws DEADLINE_EXCEEDED when something hangs, with which the process may end.
 *
 * @param what the name of it, for the error
 * @param drainSeconds how long jobs and calls may go on; undefined: the start failed
 */
export function closeInTime(scope: Scope, what: string, drainSeconds: number | undefined): Promise<void> {
  const seconds = drainSeconds === undefined ? failedStopSeconds : drainSeconds + stopSeconds;
  return within(seconds, `${what} did not stop`, scope.close());
}
