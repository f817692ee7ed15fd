import { describe, expect } from '@jest/globals';
import { browserTest } from './browser-test.ts';
import { atThePage, shareBrowser } from './scene.ts';

shareBrowser();

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
      'a large yellow star bouncing on a teal background',
      'a small blue triangle moving up and right on a beige background',
      'First frame',
      'Keyframes',
      'medium',
      'Seed',
      'Make video',
      'More settings',
      'Pause',
      'Loop',
      'Download',
      'More frames, same keyframes',
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
          gates.hold('keyframes', 4);
          await visitor.asksFor('a red circle');
          await visitor.seesStage('keyframes', '4 / 7');
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
        gates.hold('keyframes', 4);
        await visitor.asksFor(`a ${'very'.repeat(30)} large red circle`);
        await visitor.seesStage('keyframes', '4 / 7');
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

  browserTest('with reduced motion the video stands still', () =>
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
