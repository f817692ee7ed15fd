import type * as jestGlobals from '@jest/globals';

/**
 * What tests import from `@jest/globals`. Jest creates these functions again for each test file; this module, which all test files
 * of a worker share, calls the current ones.
 */
const current = globalThis as unknown as typeof jestGlobals;
const { expect } = current;
const [afterAll, afterEach, beforeAll, beforeEach, describe, jest, test] = (
  ['afterAll', 'afterEach', 'beforeAll', 'beforeEach', 'describe', 'jest', 'test'] as const
).map(
  (name) =>
    new Proxy(() => {}, {
      apply: (_target, _this, parameters) => Reflect.apply(current[name] as () => unknown, undefined, parameters),
      get: (_target, key) => Reflect.get(current[name], key),
    }),
);

export { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test };
