import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a thread whose module loads onnxruntime-node, with the library's telemetry off: by default, it sends Microsoft how it is
 * used. It reads the process's environment, which only the main thread can change.
 */
export function startRuntimeThread(module: URL, options?: WorkerOptions): Worker {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  return new Worker(module, options);
}
