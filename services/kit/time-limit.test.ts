import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { timeLimit } from './time-limit.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Resolves when the signal aborts; holds no other reference to it. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

test('ends when the time is up, even under garbage collection', async () => {
  const collecting = setInterval(collectGarbage, 5);
  try {
    await aborted(AbortSignal.any([timeLimit(50).signal, new AbortController().signal]));
  } finally {
    clearInterval(collecting);
  }
});

test('reports whether the time was up or the signal aborted', async () => {
  const late = timeLimit(1, new AbortController().signal);
  await aborted(late.signal);
  expect(late.isOver).toBe(true);

  const controller = new AbortController();
  const cancelled = timeLimit(1, controller.signal);
  controller.abort(new Error('enough'));
  expect(cancelled.signal.reason).toEqual(new Error('enough'));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(cancelled.isOver).toBe(false);
  expect(timeLimit(1, controller.signal).signal.aborted).toBe(true);
});

test('lets go when the work is done', async () => {
  const controller = new AbortController();
  const limit = timeLimit(1, controller.signal);
  limit.end();
  controller.abort();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(limit.signal.aborted).toBe(false);
});
