/** A bound on how long something may take. */
export interface TimeLimit {
  /** Aborts when the time is over, or with the signal that was given. */
  readonly signal: AbortSignal;
  /** Whether it was the time that ended it. */
  readonly isOver: boolean;
  /** To be called when the work is done: lets go of timer and signal. */
  end(): void;
}

/**
 * Bounds work by time and by a signal. Its timer is held until it fires or {@link TimeLimit.end} is called; the one of
 * `AbortSignal.timeout` inside `AbortSignal.any` is collected with its signal and never fires (nodejs/node issue 57736).
 */
export function timeLimit(milliseconds: number, signal?: AbortSignal): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = !controller.signal.aborted;
    controller.abort(new DOMException('The time was over', 'AbortError'));
  }, milliseconds).unref();
  const abort = () => {
    clearTimeout(timer);
    controller.abort(signal?.reason);
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) {
    abort();
  }
  return {
    signal: controller.signal,
    get isOver() {
      return isOver;
    },
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}
