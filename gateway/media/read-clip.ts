import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ClipAnswer, ClipTask, EncodedClip } from './clip-worker.ts';

/** Of a thread's own objects; the bytes of files and frames are outside. */
const maxHeapMegabytes = 64;
const maxIdleThreads = 2;
const maxIdleSeconds = 10;

/** Threads without a clip: starting one takes 0.2 s of CPU time. */
const idleThreads = new Set<Worker>();

/**
 * Reads the encoded frames of a video file, at most `maxFrames`, in a thread with little memory. Throws an Error for a file that
 * is not a readable video or takes too much memory, and the signal's reason once it has aborted.
 */
export async function readClip(file: Uint8Array, maxFrames: number, signal: AbortSignal): Promise<EncodedClip> {
  const thread = takeThread();
  try {
    const copy = new Uint8Array(file);
    thread.postMessage({ file: copy, maxFrames } satisfies ClipTask, [copy.buffer]);
    const [answer] = (await once(thread, 'message', { signal })) as [ClipAnswer];
    keepThread(thread);
    if ('fault' in answer) {
      throw new Error(answer.fault);
    }
    return answer.clip;
  } catch (error) {
    if (!idleThreads.has(thread)) {
      void thread.terminate();
    }
    throw (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
      ? new Error('its index is too large')
      : error;
  }
}

function takeThread(): Worker {
  const [idle] = idleThreads;
  if (idle) {
    idleThreads.delete(idle);
    idle.ref();
    return idle;
  }
  const thread = new Worker(new URL('./clip-worker.js', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes, maxYoungGenerationSizeMb: 16 },
  });
  thread.on('error', () => {});
  thread.on('exit', () => idleThreads.delete(thread));
  return thread;
}

/** Keeps a thread for the next clip. It does not keep the process alive. */
function keepThread(thread: Worker): void {
  thread.unref();
  if (idleThreads.size >= maxIdleThreads) {
    void thread.terminate();
    return;
  }
  idleThreads.add(thread);
  setTimeout(() => {
    if (idleThreads.delete(thread)) {
      void thread.terminate();
    }
  }, maxIdleSeconds * 1000).unref();
}
