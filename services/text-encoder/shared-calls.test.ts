import { expect, test } from '@jest/globals';
import { deferred } from '../kit/deferred.ts';
import { SharedCalls } from './shared-calls.ts';

const never = new AbortController().signal;

test('callers with the same key share a call, others do not', async () => {
  const calls = new SharedCalls<string>();
  const started: string[] = [];
  const result = deferred<string>();
  const start = (key: string) => () => {
    started.push(key);
    return result.promise;
  };
  const joined = ['a', 'a', 'b'].map((key) => calls.join(key, never, start(key)));
  result.resolve('done');
  expect(await Promise.all(joined)).toEqual(['done', 'done', 'done']);
  expect(started).toEqual(['a', 'b']);
});

test('a call that has ended is not joined', async () => {
  const calls = new SharedCalls<number>();
  let count = 0;
  const start = async () => ++count;
  expect(await calls.join('a', never, start)).toBe(1);
  expect(await calls.join('a', never, start)).toBe(2);
});

test('an error reaches all waiting callers; the next caller tries again', async () => {
  const calls = new SharedCalls<number>();
  const failing = deferred<number>();
  const joined = [calls.join('a', never, () => failing.promise), calls.join('a', never, async () => 1)];
  failing.reject(new Error('broken'));
  expect((await Promise.allSettled(joined)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await calls.join('a', never, async () => 2)).toBe(2);
});

test('a caller that leaves does not affect the others', async () => {
  const calls = new SharedCalls<string>();
  const result = deferred<string>();
  const leaver = new AbortController();
  const first = calls.join('a', leaver.signal, () => result.promise);
  const second = calls.join('a', never, () => result.promise);
  leaver.abort();
  await expect(first).rejects.toMatchObject({ name: 'AbortError' });
  result.resolve('done');
  expect(await second).toBe('done');
});

test('the call is aborted when the last caller leaves, and cannot be joined any more', async () => {
  const calls = new SharedCalls<string>();
  const leavers = [new AbortController(), new AbortController()];
  let shared: AbortSignal | undefined;
  const joined = leavers.map(({ signal }) =>
    calls.join('a', signal, (callSignal) => {
      shared = callSignal;
      return new Promise(() => {});
    }),
  );
  leavers[0]!.abort();
  await expect(joined[0]).rejects.toMatchObject({ name: 'AbortError' });
  expect(shared!.aborted).toBe(false);
  leavers[1]!.abort();
  await expect(joined[1]).rejects.toMatchObject({ name: 'AbortError' });
  expect(shared!.aborted).toBe(true);
  expect(await calls.join('a', never, async () => 'anew')).toBe('anew');
});

test('a caller that has already left starts nothing', async () => {
  const start = () => Promise.reject(new Error('started'));
  await expect(new SharedCalls().join('a', AbortSignal.abort(), start)).rejects.toMatchObject({ name: 'AbortError' });
});
