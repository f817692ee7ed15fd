import { expect, test } from '@jest/globals';
import { deferred } from './deferred.ts';
import { openScope, Scope } from './scope.ts';

function recorder() {
  const ended: string[] = [];
  const part = (name: string) => ({ name, stop: () => void ended.push(name) });
  return { ended, part };
}

test('closes in reverse order, each after the one before, once', async () => {
  const { ended, part } = recorder();
  const scope = new Scope();
  scope.add(part('first'));
  scope.defer(async () => {
    await new Promise(setImmediate);
    ended.push('second');
  });
  expect((await scope.open(async () => part('third'))).name).toBe('third');
  scope.add({ close: () => ended.push('fourth') });
  await Promise.all([scope.close(), scope.close()]);
  expect(ended).toEqual(['fourth', 'third', 'second', 'first']);
});

test('closes everything, and throws what failed first', async () => {
  const { ended, part } = recorder();
  const scope = new Scope();
  scope.add(part('first'));
  for (const name of ['second', 'third']) {
    scope.defer(() => Promise.reject(new Error(name)));
  }
  await expect(scope.close()).rejects.toThrow('third');
  expect(ended).toEqual(['first']);
});

test('aborts what is still opening, waits for it and closes it', async () => {
  const { ended, part } = recorder();
  const scope = new Scope();
  const opened = deferred<ReturnType<typeof part>>();
  let seen: AbortSignal | undefined;
  const opening = scope.open((signal) => {
    seen = signal;
    return opened.promise;
  });
  const closing = scope.close();
  expect(seen?.aborted).toBe(true);
  opened.resolve(part('late'));
  await closing;
  expect(ended).toEqual(['late']);
  await expect(opening).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
});

test('a failed open leaves nothing to close; the others wait for close()', async () => {
  const { ended, part } = recorder();
  const scope = new Scope();
  scope.add(part('first'));
  await expect(scope.open(() => Promise.reject(new Error('no room')))).rejects.toThrow('no room');
  expect(ended).toEqual([]);
  await scope.close();
  expect(ended).toEqual(['first']);
});

test('an aborted parent opens nothing more and closes nothing', async () => {
  const { ended, part } = recorder();
  const parent = new AbortController();
  const scope = new Scope(parent.signal);
  scope.add(part('first'));
  parent.abort();
  const open = () => {
    throw new Error('opened all the same');
  };
  await expect(scope.open(open)).rejects.toMatchObject({ name: 'AbortError' });
  expect(ended).toEqual([]);
});

test('openScope() closes what was opened before a failure', async () => {
  const { ended, part } = recorder();
  const opening = openScope(undefined, async (scope) => {
    scope.add(part('first'));
    throw new Error('half-way');
  });
  await expect(opening).rejects.toThrow('half-way');
  expect(ended).toEqual(['first']);
});
