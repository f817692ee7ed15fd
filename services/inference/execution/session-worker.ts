import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { env, type InferenceSession } from 'onnxruntime-node';
import { type FileRange, readRange, writeRange } from '../../kit/file-ranges.ts';
import { bufferOf, freeBuffer, isWorthKeeping, keepSpare } from '../../kit/spare-buffers.ts';
import { InvalidInputError } from './invalid-input-error.ts';
import { type OpenSession, openSession } from './open-session.ts';
import { type FeedInMemory, fromRuntimeTensor, toRuntimeTensor } from './runtime-tensors.ts';
import type {
  Feed,
  Fetched,
  RunRequest,
  RunResult,
  SessionCommand,
  SessionMessage,
  SessionOptions,
} from './session-messages.ts';

// The runtime's errors reach the caller as statuses; its lines on standard error would only repeat them.
env.logLevel = 'fatal';

const port = parentPort as MessagePort;
let open: OpenSession | undefined;
let lastCommand = Promise.resolve();
port.on('message', (command: SessionCommand) => {
  lastCommand = lastCommand.then(() => execute(command));
});
(workerData as { untilLoaded?: MessagePort } | null)?.untilLoaded?.close();

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
    const spent = buffersOf(request.feeds);
    const feeds: FeedInMemory[] = [];
    for (const feed of request.feeds) {
      feeds.push(await read(feed));
    }
    const result = await run(session, bfloat16, feeds, request.fetches);
    // The others came from files.
    buffersOf(feeds)
      .filter((buffer) => !spent.includes(buffer))
      .forEach(keepSpare);
    const outputs: Fetched[] = [];
    for (const output of result.outputs) {
      outputs.push(await place(output, request.places?.[output.name]));
    }
    const buffers = [...outputs.map(({ data }) => data), ...spent];
    port.postMessage({ kind: 'done', result: { ...result, outputs }, spent } satisfies SessionMessage, buffers);
  } catch (error) {
    say({ kind: 'failed', fault: faultOf(error as Error), message: (error as Error).message });
  }
}

class FileEndError extends Error {}

function faultOf(error: Error): (SessionMessage & { kind: 'failed' })['fault'] {
  if (error instanceof InvalidInputError) {
    return 'input';
  }
  if (error instanceof FileEndError) {
    return 'file end';
  }
  return 'syscall' in error ? 'file' : 'runtime';
}

/** The feed with its elements in memory. */
async function read(feed: Feed): Promise<FeedInMemory> {
  const { data } = feed;
  if ('buffer' in data) {
    return { ...feed, data };
  }
  const bytes = bufferOf(data.byteSize);
  if (!(await readRange(data.descriptor, bytes, data.position))) {
    throw new FileEndError();
  }
  return { ...feed, data: bytes };
}

async function run(
  session: InferenceSession,
  bfloat16: ReadonlySet<string>,
  feeds: readonly FeedInMemory[],
  fetches: readonly string[],
): Promise<RunResult> {
  const tensors = Object.fromEntries(
    await Promise.all(feeds.map(async (feed) => [feed.name, await toRuntimeTensor(feed)] as const)),
  );
  const started = process.hrtime.bigint();
  const fetched = await session.run(tensors, fetches, { logSeverityLevel: 4 });
  const computeNanoseconds = process.hrtime.bigint() - started;
  const outputs = await Promise.all(fetches.map((name) => fromRuntimeTensor(name, fetched[name]!, bfloat16.has(name))));
  return { outputs, computeNanoseconds };
}

/** Puts an output into its place, if it has one and fits. */
async function place(output: Fetched, range: FileRange | undefined): Promise<Fetched> {
  const { data } = output;
  if (!range || data.byteLength > range.byteSize) {
    return output;
  }
  await writeRange(range.descriptor, new Uint8Array(data), range.position);
  freeBuffer(data);
  return { ...output, data: new ArrayBuffer(0), isPlaced: true };
}

/** Buffers of feeds that are worth keeping for a later run. */
function buffersOf(feeds: readonly Feed[]): ArrayBuffer[] {
  const buffers = feeds.flatMap(({ data }) => ('buffer' in data ? [data.buffer] : []));
  return [...new Set(buffers)].filter(({ byteLength }) => isWorthKeeping(byteLength));
}

function say(message: SessionMessage): void {
  port.postMessage(message);
}
