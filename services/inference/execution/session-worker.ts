import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { env, type InferenceSession } from 'onnxruntime-node';
import { openSession } from './open-session.ts';
import { fromRuntimeTensor, InvalidInputError, toRuntimeTensor } from './runtime-tensors.ts';
import type { RunRequest, RunResult, SessionCommand, SessionMessage, SessionOptions } from './session-messages.ts';

// The runtime's errors reach the caller as statuses; its lines on standard error would only repeat them.
env.logLevel = 'fatal';

const port = parentPort as MessagePort;

async function main(options: SessionOptions): Promise<void> {
  try {
    const { session, signature, bfloat16 } = await openSession(options);
    port.on('message', async (command: SessionCommand) => {
      if (command.kind === 'close') {
        await session.release();
        port.close();
        return;
      }
      try {
        const result = await run(session, bfloat16, command.request);
        const buffers = result.outputs.map((output) => output.data);
        port.postMessage({ kind: 'done', result } satisfies SessionMessage, buffers);
      } catch (error) {
        say({ kind: 'failed', invalidInput: error instanceof InvalidInputError, message: (error as Error).message });
      }
    });
    say({ kind: 'ready', signature });
  } catch (error) {
    say({ kind: 'unloadable', message: (error as Error).message });
  }
}

async function run(session: InferenceSession, bfloat16: ReadonlySet<string>, request: RunRequest): Promise<RunResult> {
  const feeds = Object.fromEntries(request.feeds.map((feed) => [feed.name, toRuntimeTensor(feed)]));
  const started = process.hrtime.bigint();
  const fetched = await session.run(feeds, request.fetches, { logSeverityLevel: 4 });
  const computeNanoseconds = process.hrtime.bigint() - started;
  const outputs = request.fetches.map((name) => fromRuntimeTensor(name, fetched[name]!, bfloat16.has(name)));
  return { outputs, computeNanoseconds };
}

function say(message: SessionMessage): void {
  port.postMessage(message);
}

await main(workerData as SessionOptions);
