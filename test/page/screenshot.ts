/** Retakes the README's picture of the page: a video of nano that has just been made here. */
import { join } from 'node:path';
import sharp from 'sharp';
import { prepareMesh, startMesh } from '../../cli/mesh.ts';
import { createLogger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { hasBrowser, startBrowser } from './chromium.ts';

const file = join(packageRoot, 'gateway/page/screenshot.webp');
const prompt = 'a large red circle moving left on a navy background';

if (!hasBrowser) {
  throw new Error('Chromium not found (apt-get install chromium, or set CHROMIUM=<path>)');
}
const preset = loadPreset('nano');
const { signal } = new AbortController();
const repository = await ensureRepository(preset, { signal });
const mesh = await startMesh(prepareMesh([preset]), {
  repositories: [repository],
  httpAddress: '127.0.0.1:0',
  log: createLogger('screenshot', 'warn'),
  signal,
});
const browser = await startBrowser();
try {
  const page = await browser.newPage({ viewport: { width: 1240, height: 900 }, deviceScaleFactor: 1.5 });
  page.setDefaultTimeout(120_000);
  await page.goto(`http://${mesh.httpAddress}/`);
  await page.fill('#prompt', prompt);
  await page.fill('#seed', '7');
  await page.click('#create');
  await page.waitForSelector('.job[data-state="done"] video');
  await page.waitForSelector('.storyboard[data-state="storyboard"]');
  await page.waitForSelector('.item img:not([hidden])');
  // Stands still on a frame between two keyframes.
  await page.focus('.scrubber');
  await page.keyboard.press('Home');
  for (let presses = 0; presses < 22; presses++) {
    await page.keyboard.press('ArrowRight');
  }
  while (await page.evaluate('document.querySelector("video").seeking')) {
    await page.waitForTimeout(20);
  }
  await page.waitForTimeout(500);
  await sharp(await page.screenshot({ fullPage: true }))
    .webp({ quality: 85 })
    .toFile(file);
  process.stdout.write(`${file}\n`);
} finally {
  await browser.close();
  await mesh.stop();
}
