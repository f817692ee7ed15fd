import type { Scope } from '../services/kit/scope.ts';
import { within } from '../services/kit/within.ts';

/** Longest that ending takes beyond the drain, seconds. */
const stopSeconds = 15;
/** The same where nothing was served yet: ONNX Runtime crashes a process that exits while it loads a model. */
const failedStopSeconds = 30;

/**
 * Closes what a process has started. Throws DEADLINE_EXCEEDED when something hangs, with which the process may end.
 *
 * @param what the name of it, for the error
 * @param drainSeconds how long jobs and calls may go on; undefined: nothing was served yet
 */
export function closeInTime(scope: Scope, what: string, drainSeconds: number | undefined): Promise<void> {
  const seconds = drainSeconds === undefined ? failedStopSeconds : drainSeconds + stopSeconds;
  return within(seconds, `${what} did not stop`, scope.close());
}
