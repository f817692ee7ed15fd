import { expect } from '@jest/globals';
import { FrameRate } from '../../proto/gen/fusionframes/v1/video.ts';
import { browserTest } from './browser-test.ts';
import { atThePage, shareBrowser } from './scene.ts';

shareBrowser();

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
