import { expect, jest } from '@jest/globals';
import { isLong } from './long-tests.ts';

if (isLong(expect.getState().testPath!)) {
  jest.setTimeout(600_000);
}
