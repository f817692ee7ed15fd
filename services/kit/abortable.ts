/** The result of `work`, or an AbortError as soon as the signal aborts. The work itself goes on. */
export async function abortable<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  // Avoids an unhandled rejection once the caller has stopped waiting.
  work.catch(() => {});
  let abort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
