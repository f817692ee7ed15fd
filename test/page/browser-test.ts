import { jest, test } from '@jest/globals';
import { hasBrowser } from './chromium.ts';

if (!hasBrowser) {
  console.warn('There is no Chromium on this machine: tests of the page are skipped (apt-get install chromium)');
}

// Many waits follow one another in a test, each with a minute's patience.
jest.setTimeout(600_000);

/** A test that needs a browser: skipped where there is none. */
export const browserTest = hasBrowser ? test : test.skip;
