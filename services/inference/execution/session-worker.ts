import { type MessagePort, parentPort } from 'node:worker_threads';
import { env, type InferenceSession } from 'onnxruntime-node';
import { type OpenSession, openSession } from './open-session.ts';
import { fromRuntimeTensor, InvalidInputError, toRuntimeTensor } from './runtime-tensors.ts';
import type {
  Feed,
  RunRequest,
  RunResult,
  SessionCommand,
  SessionMessage,
  SessionOptions,
} from './session-messages.ts';
import { isWorthKeeping } from './spare-buffers.ts';

// The runtime's errors reach the caller as statuses; its lines on standard error would only repeat them.
env.logLevel = 'fatal';

const port = parentPort as MessagePort;
let open: OpenSession | undefined;
let lastCommand = Promise.resolve();
port.on('message', (command: SessionCommand) => {
  lastCommand = lastCommand.then(() => execute(command));
});

async function execute(command: SessionCommand): Promise<void> {
  switch (command.kind) {
    case 'load':
      return load(command.options);
    case 'run':
      return answer(command.request);
    case 'close':
      await open?.session.release();
      open = undefined;
      return say({ kind: 'closed' });
    case 'end':
      port.close();
  }
}

async function load(options: SessionOptions): Promise<void> {
  try {
    open = await openSession(options);
    say({ kind: 'ready', signature: open.signature });
  } catch (error) {
    say({ kind: 'unloadable', message: (error as Error).message });
  }
}

async function answer(request: RunRequest): Promise<void> {
  try {
    const { session, bfloat16 } = open as OpenSession;
    const result = await run(session, bfloat16, request);
    const spent = request.feeds.filter(mayServeAgain).map(({ data }) => data.buffer);
    const buffers = [...result.outputs.map((output) => output.data), ...spent];
    port.postMessage({ kind: 'done', result, spent } satisfies SessionMessage, buffers);
  } catch (error) {
    say({ kind: 'failed', invalidInput: error instanceof InvalidInputError, message: (error as Error).message });
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

/** Whether a feed's memory is worth giving back. That of a message around it has a size that hardly recurs. */
function mayServeAgain({ data }: Feed): boolean {
  return data.byteLength === data.buffer.byteLength && isWorthKeeping(data.byteLength);
}

function say(message: SessionMessage): void {
  port.postMessage(message);
}
