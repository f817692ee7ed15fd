import { exitCode } from './exit.ts';

/** Why a command stops before its end. */
class Interruption extends DOMException {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('interrupted', 'AbortError');
    this.exitCode = exitCode;
  }
}

/**
 * A signal that aborts on Ctrl-C, SIGTERM or when the terminal closes. A second Ctrl-C kills the process at
 * once, without a clean shutdown.
 */
export function interruptSignal(): AbortSignal {
  const interrupted = new AbortController();
  process.on('SIGINT', () => {
    if (interrupted.signal.aborted) {
      // Not process.exit(), which waits for a model's run in progress.
      process.kill(process.pid, 'SIGKILL');
    }
    interrupted.abort(new Interruption(exitCode.interrupted));
  });
  process.on('SIGTERM', () => interrupted.abort(new Interruption(exitCode.terminated)));
  process.on('SIGHUP', () => interrupted.abort(new Interruption(exitCode.hungUp)));
  return interrupted.signal;
}

/**
 * Ends an interrupted command with the exit code of the signal. Throws any other error.
 *
 * @param interrupted from {@link interruptSignal}
 * @param message for standard error
 */
export function reportInterruption(error: unknown, interrupted: AbortSignal, message = 'cancelled\n'): void {
  if (!interrupted.aborted) {
    throw error;
  }
  process.stderr.write(message);
  process.exitCode = (interrupted.reason as Interruption).exitCode;
}
