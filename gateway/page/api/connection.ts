import { byId, setText } from '../dom.ts';
import { ApiError } from './api-error.ts';

const lost = 'No connection to the gateway. The page keeps trying; jobs it has accepted go on without it.';

const untilReachable = new Set<() => void>();

/** Takes the words about `error` away when they are that the gateway cannot be reached, and it can again. */
export function forgetWhenReachable(line: Element, error: unknown): void {
  const { textContent } = line;
  if (error instanceof ApiError && error.status === 0) {
    untilReachable.add(() => {
      // Others may stand there by then.
      if (line.textContent === textContent) {
        setText(line, '');
      }
    });
  }
}

/** Tells people whether the gateway answers. */
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
