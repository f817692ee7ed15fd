let answer: () => boolean = () => false;

/** Says how it is known from now on whether this process takes calls; until the first time it takes none. */
export function setReadiness(isReady: () => boolean): void {
  answer = isReady;
}

/** Whether this process takes calls: it has started, has what it serves with and does not end. */
export function isReady(): boolean {
  return answer();
}
