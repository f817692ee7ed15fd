import { Worker } from 'node:worker_threads';
import { toFusionError } from '../../services/kit/errors.ts';
import {
  type Decoders,
  type DecodingAnswer,
  type DecodingTask,
  maxMemoryBytes,
  tooMuchMemory,
} from './decoding-task.ts';

/** What a process that waits for its next task may hold. */
const maxIdleBytes = 256 << 20;

/**
 * Ends the process when it takes too much memory or its parent has ended. In a thread, because decoders can keep the main one
 * busy.
 */
const watch = `
  setInterval(() => {
    if (process.memoryUsage.rss() > ${maxMemoryBytes}) {
      process.kill(process.pid, '${tooMuchMemory}');
    } else if (process.ppid !== ${process.ppid}) {
      process.kill(process.pid, 'SIGKILL');
    }
  }, 10);
`;

/**
 * Decodes files of users: a small one can take all memory or crash a decoder. The process has neither the gateway's memory nor
 * its environment.
 */
new Worker(watch, { eval: true });
process.on('message', async (task: DecodingTask) => process.send!(await answer(task)));
// Interrupting the program interrupts the whole group: it ends when its parent does.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

async function answer({ name, args }: DecodingTask): Promise<DecodingAnswer> {
  try {
    const value = await (await decoder(name))(...args);
    return { value, isReusable: isReusable() };
  } catch (error) {
    const { code, message, reason, field } = toFusionError(error);
    return { fault: { code, message, reason, field }, isReusable: isReusable() };
  }
}

/** Loads the video decoder only for clips. */
async function decoder(name: keyof Decoders): Promise<(...args: unknown[]) => Promise<unknown>> {
  const decoders =
    name === 'preparePicture' ? await import('./prepare-picture.ts') : await import('./given-keyframes.ts');
  return (decoders as unknown as Record<keyof Decoders, (...args: unknown[]) => Promise<unknown>>)[name];
}

function isReusable(): boolean {
  return process.memoryUsage.rss() < maxIdleBytes;
}
