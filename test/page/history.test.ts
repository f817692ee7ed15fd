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

const operatedGateway = { concurrentJobs: 1, gatewayName: 'one' };

browserTest('operators see and steer the queue, gateways and keys', () =>
  atThePage(
    async ({ visitor, gateway, gates }) => {
      const { page } = visitor;
      gates.hold('keyframes', 2);
      for (const prompt of ['the first', 'the second', 'the third']) {
        await gateway.create({ prompt });
      }
      const { sql } = gateway.data.database;
      await sql`update jobs set pauses = 1 where settings->>'prompt' = 'the third'`;
      await page.reload();
      await visitor.sees('.item[data-state="paused"]', /the third.*paused for another video/s);
      await sql`update jobs set pauses = 0`;
      await page.goto(`${visitor.origin}/admin`);
      await visitor.sees('#running tr', /the first.*Keyframes 2 \/ 3.*one/s);
      await visitor.sees('#queue tr', /without a key/);
      expect(await visitor.seriousBarriers()).toEqual([]);

      const third = await visitor.sees('#waiting tr', 'the third');
      await third.locator('[data-part="raise"]').click();
      await page.fill('#priority', '200');
      await page.keyboard.press('Enter');
      await visitor.sees('#priority-error', 'Must be a whole number from -100 to 100');
      await page.fill('#priority', '-5');
      expect(await visitor.seriousBarriers()).toEqual([]);
      await page.keyboard.press('Enter');
      await visitor.sees('#waiting tr', /the third.*-5 by an operator, before 0/s);
      await visitor.waitsUntil('!document.querySelector("#priority-dialog").open');
      expect((await visitor.focus()).name).toBe('Priority of the third');

      await page.click('#gateways [data-part="pause"]');
      await page.click('#confirm-yes');
      await visitor.sees('#gateways [data-mode="paused"]', 'paused for');
      await page.click('#gateways [data-part="resume"]');
      await visitor.sees('#gateways [data-mode="active"]', 'active');
      await page.click('#queue [data-part="key"]');
      await visitor.sees('#queue [aria-pressed="true"]', 'without a key');
      await (await visitor.sees('#waiting tr', 'the third')).locator('[data-part="cancel"]').click();
      await page.click('#confirm-yes');
      await visitor.waitsUntil('document.querySelectorAll("#waiting tr").length === 1');

      await page.click('#new-key');
      await visitor.sees('#key-dialog');
      expect(await page.inputValue('#concurrent_jobs')).toBe('4');
      await page.fill('#name', 'boss');
      await page.click('#key-save');
      await visitor.sees('#scopes-error', 'Must be a list with admin for the first key');
      await page.check('[name="scopes"][value="admin"]');
      await page.click('#key-save');
      await visitor.sees('#secret-dialog');
      const secret = await page.inputValue('#secret');
      await page.keyboard.press('Escape');
      await visitor.sees('#key-form');
      await page.fill('#key', secret);
      await page.keyboard.press('Enter');
      await visitor.sees('#keys tr', /boss.*this key/s);
      await visitor.sees('#actions tr', 'created a key');

      await page.click('#new-key');
      await visitor.sees('#key-dialog');
      await page.fill('#name', 'team');
      await page.fill('#budgets', '5-videos/day');
      expect(await visitor.seriousBarriers()).toEqual([]);
      await page.click('#key-save');
      await visitor.sees('#secret-dialog');
      const other = await page.inputValue('#secret');
      await page.click('#secret-dialog [type="submit"]');
      await (await visitor.sees('#keys tr', /team.*0 of 5-videos\/day/s)).locator('[data-part="edit"]').click();
      await page.fill('#share', '3');
      await page.click('#key-save');
      await (await visitor.sees('#keys tr', /team.*share 3/s)).locator('[data-part="revoke"]').click();
      await page.click('#confirm-yes');
      await visitor.waitsUntil('document.querySelectorAll("#keys tr").length === 1');
      await page.check('#show-revoked');
      await visitor.sees('#keys tr', /team.*revoked just now/s);
      expect(await visitor.seriousBarriers()).toEqual([]);

      await page.evaluate(`sessionStorage.setItem('fusionframes.api-key', ${JSON.stringify(other)})`);
      await page.reload();
      await visitor.sees('#key-error', 'This key was not accepted');
      const reader = await fetch(`${visitor.origin}/v1/admin/keys`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}` },
        body: new URLSearchParams({ name: 'reader', scopes: 'read' }),
      });
      await page.fill('#key', ((await reader.json()) as { key: string }).key);
      await page.keyboard.press('Enter');
      await visitor.sees('#refused', 'needed: admin');
      await page.click('#other-key');
      await visitor.sees('#key-form');
    },
    {},
    operatedGateway,
  ),
);

browserTest('operators on a phone, in the dark', () =>
  atThePage(
    async ({ visitor, gateway, gates }) => {
      const { page } = visitor;
      gates.hold('keyframes', 2);
      for (const prompt of [`a ${'very'.repeat(30)} large circle`, 'the second']) {
        await gateway.create({ prompt });
      }
      await page.goto(`${visitor.origin}/admin`);
      await visitor.sees('#running tr', /Keyframes 2 \/ 3/);
      expect(await visitor.sidewaysScroll()).toBe(0);
      expect(await visitor.seriousBarriers()).toEqual([]);
      await page.tap('#new-key');
      await visitor.sees('#key-dialog');
      expect(await visitor.sidewaysScroll()).toBe(0);
      expect(await visitor.seriousBarriers()).toEqual([]);
    },
    { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: 'dark' },
    operatedGateway,
  ),
);
