import type { Scope } from '../services/kit/scope.ts';
import { within } from '../services/kit/within.ts';

/** Time limit for stopping after the drain, seconds. */
const stopSeconds = 15;
/** The same before anything is served: ONNX Runtime crashes a process that exits while it loads a model. */
const failedStopSeconds = 30;

/**
 * Closes what a process has started. Throws DEADLINE_EXCEEDED if something hangs; the process may then exit.
 *
 * @param what its name in the error
 * @param drainSeconds how long jobs and calls may go on; undefined: nothing is served yet
 */
export function closeInTime(scope: Scope, what: string, drainSeconds: number | undefined): Promise<void> {
  const seconds = drainSeconds === undefined ? failedStopSeconds : drainSeconds + stopSeconds;
  return within(seconds, `${what} did not stop`, scope.close());
}
