let answer: () => boolean = () => false;

/** Sets the readiness check of this process, which is not ready until then. */
export function setReadiness(isReady: () => boolean): void {
  answer = isReady;
}

/** Whether this process accepts calls: it has started, its dependencies are available and it is not stopping. */
export function isReady(): boolean {
  return answer();
}
