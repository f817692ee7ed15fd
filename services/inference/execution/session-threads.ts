import { once } from 'node:events';
import { MessageChannel, type Worker } from 'node:worker_threads';
import { startRuntimeThread } from './runtime-thread.ts';
import type { SessionCommand } from './session-messages.ts';

const module = new URL('./session-worker.js', import.meta.url);

const maxIdle = 16;
/** An idle thread may still hold the last tensors, so it is not kept for long. */
const maxIdleSeconds = 10;

/** Threads without a session, each with the timer that ends it. */
const idleThreads = new Map<Worker, NodeJS.Timeout>();

/**
 * A thread for a session: the one that became idle last if there is one, because starting a thread takes 0.2 s of CPU time
 * and the others can then end.
 */
export function takeThread(): Worker {
  const newest = [...idleThreads].at(-1);
  if (newest === undefined) {
    return startRuntimeThread(module);
  }
  const [thread, timer] = newest;
  clearTimeout(timer);
  idleThreads.delete(thread);
  removeListeners(thread);
  thread.ref();
  return thread;
}

/**
 * Starts idle threads for sessions that will be opened soon, one after another, so that they keep only one processor busy. Like all
 * idle threads, they end if they are not used. Resolves when no thread is starting any more: the process must not exit before,
 * because that would end a thread inside the runtime's native code.
 *
 * @param signal starts no further threads
 */
export async function startThreads(count: number, signal: AbortSignal): Promise<void> {
  for (let started = 0; started < count && !signal.aborted; started++) {
    const { port1, port2 } = new MessageChannel();
    // Closed when the thread has loaded its modules, or has ended.
    const closed = once(port1, 'close');
    port1.ref();
    keepThread(startRuntimeThread(module, { workerData: { untilLoaded: port2 }, transferList: [port2] }));
    await closed;
  }
}

/** Keeps a thread whose session is closed for the next session. It no longer keeps the process alive. */
export function keepThread(thread: Worker): void {
  removeListeners(thread);
  thread.unref();
  if (idleThreads.size >= maxIdle) {
    endThread(thread);
    return;
  }
  const timer = setTimeout(() => {
    forget();
    endThread(thread);
  }, maxIdleSeconds * 1000).unref();
  const forget = () => {
    clearTimeout(timer);
    idleThreads.delete(thread);
  };
  idleThreads.set(thread, timer);
  thread.once('error', forget);
  thread.once('exit', forget);
}

function removeListeners(thread: Worker): void {
  for (const event of ['message', 'error', 'exit']) {
    thread.removeAllListeners(event);
  }
}

/** Ends a thread after the commands before. Not by `terminate()`, which crashes the process inside the runtime's native code. */
export function endThread(thread: Worker): void {
  thread.postMessage({ kind: 'end' } satisfies SessionCommand);
}
