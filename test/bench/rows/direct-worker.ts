import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { normalNoise } from '../../../services/diffusion/noise.ts';
import { openSession } from '../../../services/inference/execution/open-session.ts';
import { type DataType, elementCount } from '../../../services/pipeline/tensor.ts';
import type { NetworkCall } from '../../../triton-models/describe/network-calls.ts';

/** What the worker is started with. */
export interface DirectOptions {
  repository: string;
  calls: NetworkCall[];
  intraOpThreads: number;
}

/** Seconds that the calls of one video took, in the order of `calls`. */
export type DirectResult = number[];

const { repository, calls, intraOpThreads } = workerData as DirectOptions;
const port = parentPort as MessagePort;

const sessions = new Map<string, InferenceSession>();
for (const { model } of calls) {
  if (!sessions.has(model)) {
    const modelFile = join(repository, model, '1', 'model.onnx');
    sessions.set(model, (await openSession({ modelFile, intraOpThreads })).session);
  }
}
const prepared = calls.map((call) => ({ ...call, session: sessions.get(call.model)!, feeds: feedsOf(call) }));
port.postMessage('ready');

port.on('message', async () => {
  const seconds: DirectResult = [];
  for (const { session, feeds, times } of prepared) {
    const started = performance.now();
    for (let index = 0; index < times; index++) {
      await session.run(feeds);
    }
    seconds.push((performance.now() - started) / 1000);
  }
  port.postMessage(seconds);
});

function feedsOf(call: NetworkCall): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(call.feeds).map(([name, { type, shape }]) => [name, new Tensor(type, valuesOf(type, shape), shape)]),
  );
}

function valuesOf(type: DataType, shape: number[]) {
  const length = elementCount(shape);
  switch (type) {
    case 'float32':
      return normalNoise({ seed: 1n, purpose: 0, draw: 0 }, 0, length);
    case 'int64':
      return new BigInt64Array(length).fill(1n);
    default:
      return new Uint8Array(length).fill(1);
  }
}
