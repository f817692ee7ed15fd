import { exitCode } from './exit.ts';

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
    interrupted.abort();
  });
  process.on('SIGTERM', () => interrupted.abort());
  process.on('SIGHUP', () => interrupted.abort());
  return interrupted.signal;
}

/**
 * Ends a command that was interrupted with the exit code for it. Throws any other error.
 *
 * @param message what is said on standard error
 */
export function reportInterruption(error: unknown, interrupted: AbortSignal, message = 'cancelled\n'): void {
  if (!interrupted.aborted) {
    throw error;
  }
  process.stderr.write(message);
  process.exitCode = exitCode.interrupted;
}
