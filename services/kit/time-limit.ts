/** A limit on how long something may take. */
export interface TimeLimit {
  /** Aborts when the time is up or the given signal aborts. */
  readonly signal: AbortSignal;
  /** Whether the time limit was reached. */
  readonly isOver: boolean;
  /** Call when the work is done: releases timer and signal. */
  end(): void;
}

/**
 * Limits work by time and by a signal. The timer is held until it fires or {@link TimeLimit.end} is called, unlike that of
 * `AbortSignal.timeout` inside `AbortSignal.any`, which may be garbage-collected and never fire (nodejs/node issue 57736).
 */
export function timeLimit(milliseconds: number, signal?: AbortSignal): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = !controller.signal.aborted;
    controller.abort(new DOMException('The time limit was reached', 'AbortError'));
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
