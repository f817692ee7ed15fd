/** The result of `work`, or an AbortError as soon as the signal aborts. The work itself goes on. */
export async function abortable<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  // Also when nobody waits for it any more.
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
