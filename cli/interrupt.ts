/**
 * A signal that aborts on the first Ctrl-C or SIGTERM. A second one ends the process at once, for whoever does not want
 * to wait for the clean end.
 */
export function interruptSignal(): AbortSignal {
  const interrupted = new AbortController();
  const onSignal = () => {
    if (interrupted.signal.aborted) {
      process.exit(130);
    }
    interrupted.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return interrupted.signal;
}
