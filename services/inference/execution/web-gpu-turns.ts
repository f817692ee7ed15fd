let last: Promise<unknown> = Promise.resolve();

/**
 * Does work on WebGPU when all earlier work there has ended: ONNX Runtime 1.30 crashes the process if two sessions load or run at
 * once, even in threads of their own.
 */
export function inWebGpuTurn<T>(work: () => Promise<T>): Promise<T> {
  const turn = last.then(work);
  last = turn.catch(() => {});
  return turn;
}
