import { byId, setText } from '../dom.ts';

const lost = 'No connection to the gateway. The page keeps trying; jobs it has accepted go on without it.';

/** Tells people whether the gateway answers. */
export function setReachable(reachable: boolean): void {
  const notice = byId('connection');
  setText(notice, reachable ? '' : lost);
  notice.hidden = reachable;
}

export function isReachable(): boolean {
  return byId('connection').hidden === true;
}
