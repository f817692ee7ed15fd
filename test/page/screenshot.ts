/** Retakes the pictures of the page and of the operators' page: videos of nano that are made here. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { startMesh } from '../../cli/mesh.ts';
import { prepareMesh } from '../../cli/mesh-stages.ts';
import { createLogger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { hasBrowser, startBrowser } from './chromium.ts';

const prompt = 'a large red circle moving left on a navy background';

if (!hasBrowser) {
  throw new Error('Chromium not found (apt-get install chromium, or set CHROMIUM=<path>)');
}
const preset = loadPreset('nano');
const { signal } = new AbortController();
const repository = await ensureRepository(preset, { signal });
const mesh = await startMesh({
  repositories: async () => [repository],
  prepare: () => prepareMesh([preset]),
  httpAddress: '127.0.0.1:0',
  log: createLogger('screenshot', 'warn'),
  signal,
});
const origin = `http://${mesh.httpAddress}`;
const browser = await startBrowser();
const pictures = { page: showVideo, admin: showQueue };
try {
  for (const [name, show] of Object.entries(pictures)) {
    // Named on the command line, or all.
    if (process.argv.length === 2 || process.argv.includes(name)) {
      const page = await browser.newPage({ viewport: { width: 1240, height: 900 }, deviceScaleFactor: 1.5 });
      page.setDefaultTimeout(120_000);
      await show(page);
      const file = join(packageRoot, 'gateway/page', name === 'page' ? 'screenshot.webp' : `screenshot-${name}.webp`);
      await sharp(await page.screenshot({ fullPage: true }))
        .webp({ quality: 85 })
        .toFile(file);
      process.stdout.write(`${file}\n`);
    }
  }
} finally {
  await browser.close();
  await mesh.stop();
}

/** A finished video that stands still on a frame between two keyframes. */
async function showVideo(page: Page): Promise<void> {
  await page.goto(`${origin}/`);
  await page.fill('#prompt', prompt);
  await page.fill('#seed', '7');
  await page.click('#create');
  await page.waitForSelector('.job[data-state="done"] video');
  await page.waitForSelector('.storyboard[data-state="storyboard"]');
  await page.waitForSelector('.item img:not([hidden])');
  await page.focus('.scrubber');
  await page.keyboard.press('Home');
  for (let presses = 0; presses < 22; presses++) {
    await page.keyboard.press('ArrowRight');
  }
  while (await page.evaluate('document.querySelector("video").seeking')) {
    await page.waitForTimeout(20);
  }
  await page.waitForTimeout(500);
}

/** Videos of two keys, in progress and waiting. */
async function showQueue(page: Page): Promise<void> {
  const post = async (path: string, key: string, body: object) => {
    const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
    const response = await fetch(`${origin}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await response.json()) as { key: string };
  };
  const { key: operator } = await post('admin/keys', '', { name: 'on call', scopes: ['admin'] });
  const red = { name: 'team red', share: 2, max_priority: 20, budgets: ['100-videos/day'] };
  const teams = [await post('admin/keys', operator, red), await post('admin/keys', operator, { name: 'team blue' })];
  for (const text of ['a small yellow star bouncing on a teal background', 'a small blue triangle moving up', prompt]) {
    for (const { key } of teams) {
      await post('videos', key, { prompt: text, steps: 100 });
    }
  }
  await page.goto(`${origin}/admin`);
  await page.fill('#key', operator);
  await page.keyboard.press('Enter');
  await page.locator('#running tr', { hasText: 'Keyframes' }).first().waitFor();
}
