let answer: () => boolean = () => false;

/** Sets how to find out whether this process takes calls; before the first call it does not. */
export function setReadiness(isReady: () => boolean): void {
  answer = isReady;
}

/** Whether this process takes calls: it has started, its dependencies are there, and it is not stopping. */
export function isReady(): boolean {
  return answer();
}
