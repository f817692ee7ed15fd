import { Worker } from 'node:worker_threads';
import { toFusionError } from '../../services/kit/errors.ts';
import type { countKeyframes, prepareKeyframes } from './given-keyframes.ts';
import type { preparePicture } from './prepare-picture.ts';

/** What the process can be asked for. */
export interface Decoders {
  preparePicture: typeof preparePicture;
  countKeyframes: typeof countKeyframes;
  prepareKeyframes: typeof prepareKeyframes;
}

export interface DecodingTask {
  name: keyof Decoders;
  /** The field at fault is the first one. */
  args: unknown[];
}

export type DecodingAnswer =
  | { value: unknown; isReusable: boolean }
  | { fault: { code: number; message: string; reason: string; field: string | undefined }; isReusable: boolean };

/** Memory of the whole process, bytes: the largest pictures that are allowed take up to 0.8 GiB, as AVIF. */
export const maxMemoryBytes = 1 << 30;

/** What a process that waits for its next task may hold. */
const maxIdleBytes = 256 << 20;

/** Ends the process when it takes too much memory. In a thread, because decoders can keep the main one busy. */
const watch = `
  setInterval(() => process.memoryUsage.rss() > ${maxMemoryBytes} && process.kill(process.pid, 'SIGKILL'), 10);
`;

/**
 * Decodes files of users: a small one can take all memory or crash a decoder. The process has neither the gateway's memory nor
 * its environment.
 */
if (process.send) {
  new Worker(watch, { eval: true });
  process.on('message', async (task: DecodingTask) => process.send!(await answer(task)));
  // Interrupting the program interrupts the whole group: it ends when its parent does.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', () => process.exit());
}

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
