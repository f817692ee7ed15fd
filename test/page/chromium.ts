import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/**
 * Where Debian's packages and others put it; CHROMIUM names another place. The shell, a Chromium without windows, needs
 * half of the CPU time.
 */
const places = [
  process.env.CHROMIUM,
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

const executablePath = places.find((place) => place && existsSync(place));

/** Whether this machine has a browser. */
export const hasBrowser = executablePath !== undefined;

/** Starts a headless Chromium with a fresh profile and no background requests. */
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
