import { afterAll, afterEach } from '@jest/globals';
import { Scope } from '../scope.ts';

export type TestScope = Pick<Scope, 'add' | 'defer' | 'open'>;

/** Closes what a test opened after each test of the file. */
export function scopeOfEachTest(): TestScope {
  return renewed(afterEach);
}

/** Closes what the tests of a file, or of a `describe`, opened after the last one. */
export function scopeOfAllTests(): TestScope {
  return renewed(afterAll);
}

function renewed(after: typeof afterEach): TestScope {
  let scope = new Scope();
  after(() => {
    const ended = scope;
    scope = new Scope();
    return ended.close();
  });
  return {
    add: (held) => scope.add(held),
    defer: (close) => scope.defer(close),
    open: (open) => scope.open(open),
  };
}
