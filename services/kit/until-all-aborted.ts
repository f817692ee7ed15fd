/** Runs `work` with a signal that aborts when all of the given ones have, with the reason of the last. */
export async function untilAllAborted<T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const note = ({ target }: { target: EventTarget | null }) => {
    if (signals.every(({ aborted }) => aborted)) {
      controller.abort((target as AbortSignal).reason);
    }
  };
  for (const signal of signals) {
    signal.addEventListener('abort', note);
  }
  note({ target: signals.at(-1)! });
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of signals) {
      signal.removeEventListener('abort', note);
    }
  }
}
