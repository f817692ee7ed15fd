import { byId, setText } from '../dom.ts';
import { ApiError } from './api-error.ts';

const lost = 'No connection to the gateway. Reconnecting; accepted jobs continue.';

const untilReachable = new Set<() => void>();

/** Clears the message about `error` once the gateway can be reached again, if that was the error. */
export function forgetWhenReachable(line: Element, error: unknown): void {
  const { textContent } = line;
  if (error instanceof ApiError && error.status === 0) {
    untilReachable.add(() => {
      // It may show another message by then.
      if (line.textContent === textContent) {
        setText(line, '');
      }
    });
  }
}

/** Shows whether the gateway can be reached. */
export function setReachable(reachable: boolean): void {
  if (reachable) {
    for (const forget of untilReachable) {
      forget();
    }
    untilReachable.clear();
  }
  const notice = byId('connection');
  setText(notice, reachable ? '' : lost);
  notice.hidden = reachable;
}

export function isReachable(): boolean {
  return byId('connection').hidden === true;
}
