import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { ApiKeys } from '../../gateway/keys/api-keys.ts';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { type TestGateway, withGateway } from '../../gateway/testing/gateway.ts';
import { FrameRate } from '../../proto/gen/fusionframes/v1/video.ts';
import { loadPreset } from '../../services/kit/preset.ts';
import { eventually } from '../support/cli.ts';
import { browserTest } from './browser-test.ts';
import { hasBrowser, startBrowser } from './chromium.ts';
import { StageGates } from './stage-gates.ts';
import { replaceGateway } from './successor.ts';
import { Visitor } from './visitor.ts';

/** How the page says that the first step of the default number is done. */
const firstOfInterpolation = `1 / ${loadPreset('nano').interpolation.defaults.steps}`;

let browser: Browser;
beforeAll(async () => {
  if (hasBrowser) {
    browser = await startBrowser();
  }
});
afterAll(async () => {
  await browser?.close();
  await stopTestServer();
});

interface Scene {
  gateway: TestGateway;
  gates: StageGates;
  visitor: Visitor;
  /** Somebody else, or the same person in another tab. */
  visit(options?: BrowserContextOptions & { path?: string }): Promise<Visitor>;
}

/** Runs `use` with somebody at the page of a gateway whose stages can be held still. */
function atThePage(use: (scene: Scene) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
  const gates = new StageGates();
  return withGateway(
    async (gateway) => {
      const visitors: Visitor[] = [];
      const visit: Scene['visit'] = async (visitOptions) => {
        const visitor = await Visitor.open(browser, gateway.server.httpAddress!, visitOptions);
        visitors.push(visitor);
        return visitor;
      };
      await use({ gateway, gates, visitor: await visit(options), visit });
      gates.open();
      for (const visitor of visitors) {
        await visitor.leave();
      }
    },
    { hooks: gates.hooks, httpAddress: '127.0.0.1:0' },
  );
}

describe('a job', () => {
  browserTest('fills its stages, shows its keyframes as soon as they are there, and plays', () =>
    atThePage(async ({ gates, visitor }) => {
      const { page } = visitor;
      gates.hold('keyframes', 6);
      gates.hold('interpolation', 1);
      gates.hold('decoder', 20);
      await visitor.asksFor('a red circle');
      await visitor.seesStage('keyframes', '6 / 20');
      await visitor.sees('.storyboard[data-state="waiting"]');
      await visitor.sees('.stage[data-stage="text-encoder"][data-state="done"]');
      await visitor.sees('.stage[data-stage="interpolation"][data-state="waiting"]');

      gates.hold('keyframes', 15);
      await visitor.seesStage('keyframes', '15 / 20');
      await visitor.sees('.storyboard[data-state="preview"]');

      gates.open('keyframes');
      await visitor.seesStage('interpolation', firstOfInterpolation);
      await visitor.sees('.storyboard[data-state="storyboard"]');
      expect(await page.locator('.storyboard canvas').count()).toBe(15);

      gates.open('interpolation');
      // How far it says it is lags behind a little: frames are told of a few times a second.
      await visitor.seesStage('decoder', /^\d+ \/ 57$/);
      gates.open();
      await visitor.sees('.job[data-state="done"] video');
      await visitor.waitsUntil('document.querySelector("video").currentTime > 0.3');
      expect(await page.evaluate('document.querySelector("video").videoWidth')).toBe(64);
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
      await visitor.seesStage('keyframes', '3 / 20');
      const first = visitor.jobId;
      await page.click('text=Cancel');
      await visitor.sees('.job[data-state="cancelled"]');
      await visitor.seesStage('keyframes', 'stopped at 3 / 20');
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
      gates.hold('interpolation', 1);
      await visitor.asksFor('a red circle');
      await visitor.seesStage('interpolation', firstOfInterpolation);
      await page.reload();
      await visitor.sees('.job-prompt', 'a red circle');
      await visitor.seesStage('interpolation', firstOfInterpolation);
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

  browserTest('goes on while another is looked at, and is seen by everybody', () =>
    atThePage(async ({ gates, visitor, visit }) => {
      gates.hold('keyframes', 5);
      await visitor.asksFor('the first');
      await visitor.seesStage('keyframes', '5 / 20');
      const { jobId } = visitor;
      await visitor.asksFor('the second');
      await visitor.seesStage('keyframes', '5 / 20');
      await visitor.sees('.item[data-state="running"] .item-facts', /keyframes, \d+ %/);
      const other = await visit({ path: `#${jobId}` });
      await other.sees('.job-prompt', 'the first');
      gates.open();
      await other.sees('.job[data-state="done"]');
      await visitor.waitsUntil('document.querySelectorAll(".item[data-state=done] img:not([hidden])").length === 2');
    }),
  );

  browserTest('is deleted after a question; an unknown one is said to be gone', () =>
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
      await other.sees('.missing', 'does not exist any more');
    }),
  );
});

describe('the form', () => {
  browserTest('marks the field that is wrong, in plain words', () =>
    atThePage(async ({ visitor }) => {
      const { page } = visitor;
      await page.click('#create');
      await visitor.sees('#prompt-error', 'allowed: a text of 1 to');
      await page.click('text=More settings');
      await page.fill('#prompt', 'a red circle');
      await page.fill('#steps', '5000');
      await page.click('text=More settings');
      await page.click('#create');
      await visitor.sees('#steps-error', 'Steps: 5000 given, allowed: a whole number from 1 to 1000.');
      expect(await page.getAttribute('#steps', 'aria-invalid')).toBe('true');
      expect(await page.evaluate('document.activeElement.id')).toBe('steps');
      expect(await page.getAttribute('#prompt', 'aria-invalid')).toBeNull();
      await page.click('text=Back to the defaults');
      await page.fill('#prompt', 'a red circle');
      await page.fill('#seed', '-1');
      await page.click('#create');
      await visitor.sees('#seed-error');
    }),
  );

  browserTest('makes what its settings say, and tells it as curl', () =>
    atThePage(async ({ visitor }) => {
      const { page } = visitor;
      await page.check('input[value="low"]');
      await page.click('text=More settings');
      await page.fill('#steps', '3');
      await page.fill('#guidance_scale', '1.5');
      await page.selectOption('#sampler', 'ddim');
      await page.fill('#prompt', "it's a circle");
      await page.click('text=This request as curl');
      const text = await page.inputValue('#curl-text');
      expect(text).toContain(`curl ${visitor.origin}/v1/videos`);
      expect(text).toContain(`"it'\\''s a circle"`);
      await page.keyboard.press('Escape');
      await page.click('#create');
      await visitor.sees('.job[data-state="done"]');
      await visitor.sees('.job-facts', '3 steps · guidance 1.5');
      expect(await page.locator('.stage').count()).toBe(3);
      await page.click('text=Edit settings');
      expect(await page.inputValue('#sampler')).toBe('ddim');
      expect(await page.inputValue('#steps')).toBe('3');
      expect(await page.inputValue('#seed')).toMatch(/^\d+$/);
    }),
  );
});

browserTest('an API key is asked for where one is needed, and only there', () =>
  atThePage(async ({ visitor, visit, gateway }) => {
    await visitor.sees('#prompt');
    expect(await visitor.page.isHidden('#key-form')).toBe(true);
    const keys = new ApiKeys(gateway.data.database.sql);
    const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
    const { text } = await keys.create({ name: 'page', scopes: ['read', 'create'], limits });
    // A gateway may take a few seconds to notice its first key.
    await eventually(async () => (await fetch(`http://${gateway.server.httpAddress}/v1/videos`)).status === 401);
    const person = await visit();
    await person.sees('#key');
    expect((await person.focus()).name).toBe('API key');
    expect(await person.seriousBarriers()).toEqual([]);
    await person.page.keyboard.type('ff_not_a_key');
    await person.page.keyboard.press('Enter');
    await person.sees('#key-error', 'This key was not accepted');
    await person.page.keyboard.type(text);
    await person.page.keyboard.press('Enter');
    await person.asksFor('a red circle');
    await person.sees('.job[data-state="done"] video');
    await person.sees('.item img');
    await person.page.click('[data-part="as-curl"]');
    const command = await person.page.inputValue('#curl-text');
    expect(command).toContain('$FUSIONFRAMES_API_KEY');
    expect(command).not.toContain(text);
    await person.page.keyboard.press('Escape');
    await person.page.reload();
    await person.sees('.job[data-state="done"] video');
    await person.page.click('text=Forget API key');
    await person.sees('#key');
  }),
);

browserTest('events are read whole, however the stream is cut', () =>
  atThePage(async ({ visitor }) => {
    const text =
      ': hello\r\nid: 1\r\nevent: progress\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\ndata\n\nid: 2\rdata:x\r\rdata: cut';
    for (const size of [1, 2, 3, 7, 1000]) {
      const events = await visitor.page.evaluate(`(async () => {
        const { readEvents } = await import('/page/face/event-stream.js');
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

browserTest('the history is paged', () =>
  atThePage(async ({ visitor, gateway, gates }) => {
    const { page } = visitor;
    gates.hold('keyframes', 1);
    for (let count = 1; count <= 23; count++) {
      const { id } = await gateway.create({ prompt: `number ${count}` });
      await gateway.client.cancelVideo({ id });
    }
    await page.reload();
    await visitor.sees('.item', 'number 23');
    expect(await page.locator('.item').count()).toBe(20);
    await page.click('#library-more');
    await visitor.sees('.item', /number 1\b/);
    expect(await page.locator('.item').count()).toBe(23);
    expect(await page.isHidden('#library-more')).toBe(true);
  }),
);

browserTest('a job far down the history is followed to its end', () =>
  atThePage(async ({ visitor, gateway, gates }) => {
    const { page } = visitor;
    gates.hold('keyframes', 1);
    const { id } = await gateway.create({ prompt: 'the oldest', frameRate: FrameRate.FRAME_RATE_LOW });
    for (let count = 1; count <= 104; count++) {
      const newer = await gateway.create({ prompt: `number ${count}` });
      await gateway.client.cancelVideo({ id: newer.id });
    }
    await page.reload();
    await visitor.sees('.item', 'number 104');
    while (await page.isVisible('#library-more')) {
      const count = await page.locator('.item').count();
      await page.click('#library-more');
      await visitor.waitsUntil(`document.querySelectorAll('.item').length > ${count}`);
    }
    await visitor.sees('.item[data-state="running"]', 'the oldest');
    gates.open();
    await visitor.sees(`.item[data-state="done"] a[href="#${id}"]`);
  }),
);

browserTest('a WebP plays, too, and stands still for who want less motion', () =>
  atThePage(async ({ visitor, visit }) => {
    const { page } = visitor;
    await page.check('input[value="low"]');
    await page.click('text=More settings');
    await page.selectOption('#format', 'webp');
    await visitor.asksFor('a red circle');
    await visitor.sees('.job[data-state="done"] .screen img');
    await visitor.waitsUntil('document.querySelector(".screen img").naturalWidth === 64');
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

browserTest('the history comes back after the gateway could not list it', () =>
  atThePage(async ({ gateway, visitor }) => {
    const { page } = visitor;
    await visitor.sees('.empty');
    const { id } = await gateway.create({ prompt: 'a red circle' });
    await gateway.client.cancelVideo({ id });
    let refusals = 0;
    await page.route('**/v1/videos?*', (route) =>
      refusals++ < 2 ? route.fulfill({ status: 503, json: { error: { message: 'away' } } }) : route.continue(),
    );
    await page.reload();
    await visitor.sees('.item', 'a red circle');
    expect(refusals).toBeGreaterThan(2);
  }),
);

browserTest('everything can be done by keyboard alone', () =>
  atThePage(async ({ visitor }) => {
    const { page } = visitor;
    const press = (key: string) => page.keyboard.press(key);
    await visitor.sees('#prompt');
    const passed: string[] = [];
    const tabTo = async (name: string) => {
      for (let count = 0; count < 40; count++) {
        await press('Tab');
        const focus = await visitor.focus();
        expect(focus.visible).toBe(true);
        passed.push(focus.name);
        if (focus.name === name) {
          return;
        }
      }
      throw new Error(`Tab does not lead to ${name}, but over ${passed.join(', ')}`);
    };
    await tabTo('Skip to the video');
    await tabTo('What should the video show?');
    await page.keyboard.type('a red circle');
    await tabTo('medium');
    await press('ArrowLeft');
    await tabTo('Make video');
    await press('Enter');
    await visitor.sees('.job[data-state="done"] video');
    await tabTo('More settings');
    await tabTo('Pause');
    await press('Enter');
    await visitor.waitsUntil('document.querySelector("video").paused');
    await tabTo('Frame');
    // Faster than frames can be shown.
    for (const key of ['Home', ...Array<string>(9).fill('ArrowRight'), 'ArrowLeft']) {
      await press(key);
    }
    await visitor.sees('.frame-counter', /^\s*9 \/ 15$/);
    await press('l');
    expect(await page.evaluate('document.querySelector("video").loop')).toBe(false);
    await press(' ');
    await visitor.waitsUntil('!document.querySelector("video").paused');
    expect(passed).toEqual([
      'Skip to the video',
      'What should the video show?',
      'a large red circle moving left on a navy background',
      'a small yellow circle moving up on a teal background',
      'a large blue circle growing on a beige background',
      'medium',
      'Seed',
      'Make video',
      'More settings',
      'Pause',
      'Loop',
      'Download',
      'Retry, same seed',
      'Edit settings',
      'As curl',
      'Delete',
      'Frame',
    ]);
  }),
);

describe('people', () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    browserTest(`meet no serious barrier in the ${colorScheme}`, () =>
      atThePage(
        async ({ visitor, gates }) => {
          const { page } = visitor;
          const [red = 0] = (await page.evaluate(
            'getComputedStyle(document.documentElement).backgroundColor.match(/[\\d.]+/g).map(Number)',
          )) as number[];
          expect(red > 128).toBe(colorScheme === 'light');
          await visitor.sees('.empty');
          expect(await visitor.seriousBarriers()).toEqual([]);
          gates.hold('keyframes', 7);
          await visitor.asksFor('a red circle');
          await visitor.seesStage('keyframes', '7 / 20');
          await page.click('text=More settings');
          await page.fill('#steps', '5000');
          await page.click('#create');
          await visitor.sees('#steps-error');
          expect(await visitor.seriousBarriers()).toEqual([]);
          gates.open();
          await visitor.sees('.job[data-state="done"] video');
          expect(await visitor.seriousBarriers()).toEqual([]);
          await page.click('[data-part="as-curl"]');
          await visitor.sees('#curl-text');
          expect(await visitor.seriousBarriers()).toEqual([]);
        },
        { colorScheme },
      ),
    );
  }

  browserTest('on a phone never scroll sideways', () =>
    atThePage(
      async ({ visitor, gates }) => {
        const { page } = visitor;
        await visitor.sees('.empty');
        expect(await visitor.sidewaysScroll()).toBe(0);
        gates.hold('keyframes', 7);
        await visitor.asksFor(`a ${'very'.repeat(30)} large red circle`);
        await visitor.seesStage('keyframes', '7 / 20');
        expect(await visitor.sidewaysScroll()).toBe(0);
        await page.tap('text=More settings');
        gates.open();
        await visitor.sees('.job[data-state="done"] video');
        expect(await visitor.sidewaysScroll()).toBe(0);
        await page.tap('[data-part="as-curl"]');
        await visitor.sees('#curl-text');
        expect(await visitor.sidewaysScroll()).toBe(0);
      },
      { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true },
    ),
  );

  browserTest('who want less motion get a video that stands still', () =>
    atThePage(
      async ({ visitor }) => {
        await visitor.asksFor('a red circle');
        await visitor.sees('.job[data-state="done"] video');
        await visitor.sees('[data-part="play"]', 'Play');
        expect(await visitor.page.evaluate('document.querySelector("video").currentTime')).toBe(0);
      },
      { reducedMotion: 'reduce' },
    ),
  );
});
