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
