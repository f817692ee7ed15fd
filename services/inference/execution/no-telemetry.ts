/**
 * Import before a thread that loads onnxruntime-node is started: by default, the library sends Microsoft how it is used. It
 * reads the process's environment, which only the main thread can change: a worker thread has a copy.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
