import { parentPort, workerData } from 'node:worker_threads';
import * as onnx from 'onnxruntime-node';
import type { Tensor } from '../../services/pipeline/tensor.ts';
import type { SessionReply, SessionRequest, SessionSettings } from './model-session.ts';

const { modelPath, threads, isOptimized } = workerData as SessionSettings;
const port = parentPort!;

const session = onnx.InferenceSession.create(modelPath, {
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  graphOptimizationLevel: isOptimized ? 'all' : 'disabled',
  // Threads that spin while they wait take CPU time from other processes.
  extra: { session: { intra_op: { allow_spinning: '0' } } },
  logSeverityLevel: 3,
});
session.then(
  () => port.postMessage({ kind: 'ready' } satisfies SessionReply),
  (error: unknown) => port.postMessage({ kind: 'failed', message: String(error) } satisfies SessionReply),
);

port.on('message', async ({ feeds }: SessionRequest) => {
  try {
    const inputs = Object.entries(feeds).map(([name, value]) => [name, toOnnx(value)] as const);
    const started = performance.now();
    const results = await (await session).run(Object.fromEntries(inputs));
    const milliseconds = performance.now() - started;
    const outputs = Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromOnnx(value)]));
    port.postMessage({ kind: 'outputs', outputs, milliseconds } satisfies SessionReply);
  } catch (error) {
    port.postMessage({ kind: 'failed', message: String(error) } satisfies SessionReply);
  }
});

function toOnnx({ dataType, data, shape }: Tensor): onnx.Tensor {
  return new onnx.Tensor(dataType, data, [...shape]);
}

function fromOnnx(value: onnx.Tensor): Tensor {
  return { dataType: value.type as Tensor['dataType'], shape: value.dims, data: value.data as Tensor['data'] };
}
