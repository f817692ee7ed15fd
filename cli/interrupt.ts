/**
 * A signal that aborts on the first Ctrl-C or SIGTERM. A second one ends the process at once, for whoever does not want
 * to wait for the clean end.
 */
export function interruptSignal(): AbortSignal {
  const interrupted = new AbortController();
  const onSignal = () => {
    if (interrupted.signal.aborted) {
      // Not process.exit(), which waits for a model's run in progress.
      process.kill(process.pid, 'SIGKILL');
    }
    interrupted.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return interrupted.signal;
}
