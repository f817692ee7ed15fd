import { afterAll, beforeAll } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withGateway } from '../../gateway/testing/gateway.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { eventually } from '../support/cli.ts';
import { browserTest } from './browser-test.ts';
import { hasBrowser, startBrowser } from './chromium.ts';
import { Visitor } from './visitor.ts';

let browser: Browser;
let backend: Backend;
beforeAll(async () => {
  if (hasBrowser) {
    [browser, backend] = await Promise.all([startBrowser(), startBackend('nano')]);
  }
});
afterAll(async () => {
  await browser?.close();
  await backend?.stop();
  await stopTestServer();
});

browserTest('a real video of nano plays in the browser, frame by frame what its storyboard shows', async () => {
  const stageAddresses = await backend.startAll();
  await withGateway(
    async ({ server }) => {
      const visitor = await Visitor.open(browser, server.httpAddress!);
      const { page } = visitor;
      await page.click('text=a large red circle moving left on a navy background');
      await page.fill('#seed', '7');
      await page.click('text=More settings');
      await page.fill('#steps', '8');
      await page.click('#create');
      await visitor.sees('.stage[data-stage="keyframes"][data-state="running"]');
      await visitor.sees('.storyboard[data-state="storyboard"]');
      await visitor.sees('.job[data-state="done"] video');
      await visitor.waitsUntil('document.querySelector("video").currentTime > 0.5');
      await page.focus('.scrubber');
      await page.keyboard.press('Home');
      await seesKeyframe(visitor, 0);
      for (const keyframe of [7, 14]) {
        // Faster than frames can be shown.
        for (let presses = 0; presses < 28; presses++) {
          await page.keyboard.press('ArrowRight');
        }
        await visitor.sees('.frame-counter', new RegExp(`^\\s*${4 * keyframe + 1} / 57$`));
        await seesKeyframe(visitor, keyframe);
      }
      await visitor.leave();
    },
    { stageAddresses, httpAddress: '127.0.0.1:0' },
  );
});

/** Waits until the player shows the storyboard's picture of this keyframe, and not the one seven further on. */
async function seesKeyframe(visitor: Visitor, keyframe: number): Promise<void> {
  await visitor.waitsUntil('!document.querySelector("video").seeking');
  const matches = async () => {
    const [toItself, toAnother] = await differences(visitor, keyframe);
    return toItself < 8 && toAnother > 2 * toItself;
  };
  // The new picture may appear a moment after the seek is reported as ended.
  await eventually(matches);
}

/**
 * How much the frame that the player shows differs from a picture of the storyboard, and from the one seven further
 * on: mean over all bytes, 0 to 255.
 */
function differences({ page }: Visitor, keyframe: number): Promise<[number, number]> {
  return page.evaluate(`(() => {
    const pixels = (source) => {
      const canvas = new OffscreenCanvas(64, 64);
      const context = canvas.getContext('2d');
      context.drawImage(source, 0, 0);
      return context.getImageData(0, 0, 64, 64).data;
    };
    const shown = pixels(document.querySelector('video'));
    const tiles = document.querySelectorAll('.storyboard canvas');
    return [${keyframe}, ${(keyframe + 7) % 15}].map((index) => {
      const picture = pixels(tiles[index]);
      return shown.reduce((sum, value, at) => sum + Math.abs(value - picture[at]), 0) / shown.length;
    });
  })()`);
}
