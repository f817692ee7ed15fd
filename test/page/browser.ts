import { existsSync } from 'node:fs';
import { jest, test } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';

/** Where Debian's package and others put it; CHROMIUM names another place. */
const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const executablePath = places.find((place) => place && existsSync(place));

if (!executablePath) {
  console.warn('There is no Chromium on this machine: tests of the page are skipped (apt-get install chromium)');
}

/** Whether {@link browserTest}s run. */
export const hasBrowser = executablePath !== undefined;

// Many waits follow one another in a test, each with a minute's patience.
jest.setTimeout(600_000);

/** A test that needs a browser: skipped where there is none. */
export const browserTest = hasBrowser ? test : test.skip;

/** Starts a headless Chromium with a fresh profile that asks nobody for anything by itself. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath!,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
