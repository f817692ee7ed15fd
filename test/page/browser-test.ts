import { test } from '@jest/globals';
import { hasBrowser } from './chromium.ts';

if (!hasBrowser) {
  console.warn('There is no Chromium on this machine: tests of the page are skipped (apt-get install chromium)');
}

/** A test that needs a browser: skipped where there is none. */
export const browserTest = hasBrowser ? test : test.skip;
