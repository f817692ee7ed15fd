import { describe, expect } from '@jest/globals';
import { browserTest } from './browser-test.ts';
import { atThePage, shareBrowser } from './scene.ts';
import { replaceGateway } from './successor.ts';

shareBrowser();

/** The stage whose one step is held. */
const interpolating = '.stage[data-stage="interpolation"][data-state="running"]';

describe('a job', () => {
  browserTest('fills its stages, shows its keyframes as soon as they are there, and plays', () =>
    atThePage(async ({ gates, visitor }) => {
      const { page } = visitor;
      gates.hold('keyframes', 2);
      gates.hold('interpolation', 0);
      gates.hold('decoder', 20);
      await visitor.asksFor('a red circle');
      await visitor.seesStage('keyframes', '2 / 7');
      await visitor.sees('.storyboard[data-state="waiting"]');
      await visitor.sees('.stage[data-stage="text-encoder"][data-state="done"]');
      await visitor.sees('.stage[data-stage="interpolation"][data-state="waiting"]');

      gates.hold('keyframes', 6);
      await visitor.seesStage('keyframes', '6 / 7');
      await visitor.sees('.storyboard[data-state="preview"]');

      gates.open('keyframes');
      await visitor.sees(interpolating);
      await visitor.sees('.storyboard[data-state="storyboard"]');
      expect(await page.locator('.storyboard canvas').count()).toBe(15);

      gates.open('interpolation');
      // Progress lags a little: frames are reported a few times a second.
      await visitor.seesStage('decoder', /^\d+ \/ 57$/);
      gates.open();
      await visitor.sees('.job[data-state="done"] video');
      await visitor.waitsUntil('document.querySelector("video").currentTime > 0.3');
      expect(await page.evaluate('document.querySelector("video").videoWidth')).toBe(128);
      await visitor.sees('.frame-counter', /^\s*\d+ \/ 57$/);
      await visitor.sees('.item img');
      const download = page.waitForEvent('download');
      await page.click('text=Download');
      expect((await download).suggestedFilename()).toMatch(/^a-red-circle-\d+\.mp4$/);
    }),
  );

  browserTest('is cancelled within a step, and tried again with the same seed', () =>
    atThePage(async ({ gates, visitor }) => {
      const { page } = visitor;
      gates.hold('keyframes', 3);
      await page.fill('#seed', '18446744073709551615');
      await visitor.asksFor('a red circle');
      await visitor.seesStage('keyframes', '3 / 7');
      const first = visitor.jobId;
      await page.click('text=Cancel');
      await visitor.sees('.job[data-state="cancelled"]');
      await visitor.seesStage('keyframes', 'stopped at 3 / 7');
      await visitor.waitsUntil('document.activeElement.textContent === "Retry, same seed"');
      gates.open();
      await page.click('text=Retry, same seed');
      await visitor.sees('.job[data-state="done"]');
      expect(visitor.jobId).not.toBe(first);
      await visitor.sees('.job-facts', 'seed 18446744073709551615');
      expect(gates.cancelled).toBe(1);
    }),
  );

  browserTest('is found again after a reload, and after a gateway restart without one', () =>
    atThePage(async ({ gates, visitor, gateway }) => {
      const { page } = visitor;
      gates.hold('interpolation', 0);
      await visitor.asksFor('a red circle');
      await visitor.sees(interpolating);
      await page.reload();
      await visitor.sees('.job-prompt', 'a red circle');
      await visitor.sees(interpolating);
      await visitor.sees('.storyboard[data-state="storyboard"]');

      const successor = await replaceGateway(gateway, async () => {
        await visitor.sees('#connection', 'No connection to the gateway');
      });
      gates.open();
      await visitor.sees('.job[data-state="done"] video');
      await visitor.waitsUntil('document.querySelector("#connection").hidden');
      await visitor.page.close();
      await successor.stop();
    }),
  );

  browserTest('is shown when the gateway answers again, whichever answer was missing', () =>
    atThePage(async ({ visitor, gateway }) => {
      const { page } = visitor;
      await visitor.sees('.empty');
      // The list must reveal nothing about the job.
      await page.route('**/v1/videos?*', (route) => route.abort());
      const { id } = await gateway.create({ prompt: 'a red circle' });
      await gateway.watch(id);
      const refused = new Map<string, number>();
      await page.route(/\/v1\/videos\/[^/]+(\/content.*)?$/, (route) => {
        const url = route.request().url();
        refused.set(url, (refused.get(url) ?? 0) + 1);
        return refused.get(url) === 1
          ? route.fulfill({ status: 503, json: { error: { message: 'away' } } })
          : route.continue();
      });
      await page.goto(`${visitor.origin}/#${id}`);
      await visitor.sees('.missing', 'Away.');
      await visitor.sees('.job[data-state="done"] video');
      await visitor.sees('.storyboard[data-state="storyboard"]');
    }),
  );

  browserTest('goes on while another is open, and every visitor sees it', () =>
    atThePage(async ({ gates, visitor, visit }) => {
      gates.hold('keyframes', 5);
      await visitor.asksFor('the first');
      await visitor.seesStage('keyframes', '5 / 7');
      const { jobId } = visitor;
      await visitor.asksFor('the second');
      await visitor.seesStage('keyframes', '5 / 7');
      await visitor.sees('.item[data-state="running"] .item-facts', /keyframes, \d+ %/);
      const other = await visit({ path: `#${jobId}` });
      await other.sees('.job-prompt', 'the first');
      gates.open();
      await other.sees('.job[data-state="done"]');
      await visitor.waitsUntil('document.querySelectorAll(".item[data-state=done] img:not([hidden])").length === 2');
    }),
  );

  browserTest('is deleted after a confirmation; an unknown one is reported as missing', () =>
    atThePage(async ({ visitor, visit }) => {
      const { page } = visitor;
      await visitor.asksFor('a red circle');
      await visitor.sees('.job[data-state="done"]');
      const { jobId } = visitor;
      await page.click('text=Delete');
      await page.click('text=Keep it');
      await page.click('text=Delete');
      await page.click('#confirm-yes');
      await visitor.sees('#library-empty');
      await visitor.sees('.empty');
      const other = await visit({ path: `#${jobId}` });
      await other.sees('.missing', 'does not exist; it may have been deleted');
    }),
  );
});

browserTest('a WebP plays too, and stands still with reduced motion', () =>
  atThePage(async ({ visitor, visit }) => {
    const { page } = visitor;
    await page.check('input[value="low"]');
    await page.click('text=More settings');
    await page.selectOption('#format', 'webp');
    await visitor.asksFor('a red circle');
    await visitor.sees('.job[data-state="done"] .screen img');
    await visitor.waitsUntil('document.querySelector(".screen img").naturalWidth === 128');
    await visitor.sees('.storyboard[data-state="storyboard"]');
    expect(await page.textContent('.screen-caption')).toBe('');
    expect(await page.isHidden('.transport')).toBe(true);
    expect(await visitor.seriousBarriers()).toEqual([]);
    const download = page.waitForEvent('download');
    await page.click('text=Download');
    expect((await download).suggestedFilename()).toMatch(/^a-red-circle-\d+\.webp$/);
    const other = await visit({ path: `#${visitor.jobId}`, reducedMotion: 'reduce' });
    await other.sees('.job[data-state="done"] .screen-caption', 'The keyframes');
    expect(await other.page.locator('.screen img').count()).toBe(0);
  }),
);

browserTest('events are read whole, however the stream is cut', () =>
  atThePage(async ({ visitor }) => {
    const text =
      ': hello\r\nid: 1\r\nevent: progress\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\ndata\n\nid: 2\rdata:x\r\rdata: cut';
    for (const size of [1, 2, 3, 7, 1000]) {
      const events = await visitor.page.evaluate(`(async () => {
        const { readEvents } = await import('/page/api/event-stream.js');
        const bytes = new TextEncoder().encode(${JSON.stringify(text)});
        const body = new ReadableStream({
          start(controller) {
            for (let at = 0; at < bytes.length; at += ${size}) {
              controller.enqueue(bytes.slice(at, at + ${size}));
            }
            controller.close();
          },
        });
        const events = [];
        for await (const event of readEvents(body)) {
          events.push(event);
        }
        return events;
      })()`);
      expect(events).toEqual([
        { id: '1', type: 'progress', data: '{"a":\n"ü"}' },
        { id: '1', type: 'message', data: '' },
        { id: '2', type: 'message', data: 'x' },
      ]);
    }
  }),
);
