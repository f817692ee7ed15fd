import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { ByteBudget } from './byte-budget.ts';

/** Whether a promise has settled by the time everything already due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test('requests within the limit run immediately, the next one waits for room', async () => {
  const budget = new ByteBudget(100);
  const release = await budget.take(60, 60);
  await budget.take(40, 60);
  const waiting = budget.take(10, 60);
  expect(await isSettled(waiting)).toBe(false);
  release();
  await waiting;
});

test('a request larger than the limit goes alone', async () => {
  const budget = new ByteBudget(100);
  const release = await budget.take(1000, 60);
  const small = budget.take(1, 60);
  expect(await isSettled(small)).toBe(false);
  release();
  await small;
});

test('a large request is not overtaken by small ones that came later', async () => {
  const budget = new ByteBudget(100);
  const release = await budget.take(50, 60);
  const large = budget.take(80, 60);
  const small = budget.take(10, 60);
  expect(await isSettled(small)).toBe(false);
  release();
  await large;
  await small;
});

test('an aborted request leaves the queue and lets others pass', async () => {
  const budget = new ByteBudget(100);
  await budget.take(90, 60);
  const abort = new AbortController();
  const large = budget.take(50, 60, abort.signal);
  const small = budget.take(10, 60);
  expect(await isSettled(small)).toBe(false);
  abort.abort();
  await expect(large).rejects.toMatchObject({ name: 'AbortError' });
  await small;
});

test('releasing twice releases once', async () => {
  const budget = new ByteBudget(100);
  const releaseLarge = await budget.take(60, 60);
  const release = await budget.take(40, 60);
  release();
  release();
  await budget.take(40, 60);
  const waiting = budget.take(10, 60);
  expect(await isSettled(waiting)).toBe(false);
  releaseLarge();
  await waiting;
});

test('a request that finds no room in time is rejected, and lets others pass', async () => {
  const budget = new ByteBudget(100);
  await budget.take(90, 60);
  const large = budget.take(50, 0.01);
  const small = budget.take(10, 60);
  await expect(large).rejects.toMatchObject({ code: Status.DEADLINE_EXCEEDED, reason: 'TOO_MANY_BYTES' });
  await small;
});
