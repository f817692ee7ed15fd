import type { Scope } from '../services/kit/scope.ts';
import { within } from '../services/kit/within.ts';

/** Time limit for stopping after the drain, seconds. */
const stopSeconds = 15;
/** The same before anything is served: ONNX Runtime crashes a process that exits while it loads a model. */
const failedStopSeconds = 30;

let hangs = false;

/**
 * Closes what a process has started. Throws DEADLINE_EXCEEDED if something hangs; the process must then {@link leave}.
 *
 * @param what its name in the error
 * @param drainSeconds how long jobs and calls may go on; undefined: nothing is served yet
 */
export async function closeInTime(scope: Scope, what: string, drainSeconds: number | undefined): Promise<void> {
  const seconds = drainSeconds === undefined ? failedStopSeconds : drainSeconds + stopSeconds;
  hangs = true;
  await within(
    seconds,
    `${what} did not stop`,
    scope.close().finally(() => (hangs = false)),
  );
}

/**
 * Ends the process, whatever still holds it. If closing hangs, by SIGKILL: `process.exit` would end worker threads inside
 * ONNX Runtime's native code, which aborts the process. An embedded database then stops by itself, and the next process
 * removes temporary folders.
 */
export function leave(): void {
  if (!hangs) {
    process.exit();
  }
  process.kill(process.pid, 'SIGKILL');
}
