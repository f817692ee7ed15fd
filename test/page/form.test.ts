import { describe, expect } from '@jest/globals';
import { ApiKeys } from '../../gateway/keys/api-keys.ts';
import { testRoute } from '../../gateway/testing/gateway.ts';
import { pictured, plainPicture, textOnly } from '../../gateway/testing/pictured.ts';
import { startStageDoubles } from '../../gateway/testing/stage-doubles.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { eventually } from '../support/cli.ts';
import { browserTest } from './browser-test.ts';
import { atThePage, shareBrowser } from './scene.ts';

shareBrowser();
const scope = scopeOfEachTest();

const nano = loadPreset('nano');
const draft: Preset = {
  ...nano,
  name: 'draft',
  defaultFrameRate: 'low',
  keyframes: { ...nano.keyframes, defaults: { ...nano.keyframes.defaults, steps: 3 } },
};

describe('the form', () => {
  browserTest('marks the field that is wrong, in plain words', () =>
    atThePage(async ({ visitor }) => {
      const { page } = visitor;
      await page.click('#create');
      await visitor.sees('#prompt-error', '1 to');
      await page.click('text=More settings');
      expect(await page.getAttribute('#steps', 'min')).toBe('1');
      expect(await page.getAttribute('#interpolation_guidance_scale', 'max')).toBe('50');
      await page.fill('#prompt', 'a red circle');
      await page.fill('#steps', '5000');
      await page.click('text=More settings');
      await page.click('#create');
      await visitor.sees('#steps-error', 'Steps: Must be a whole number from 1 to 1000 (got 5000).');
      expect(await page.getAttribute('#steps', 'aria-invalid')).toBe('true');
      expect(await page.evaluate('document.activeElement.id')).toBe('steps');
      expect(await page.getAttribute('#prompt', 'aria-invalid')).toBeNull();
      await page.click('text=Reset to the defaults');
      await page.fill('#prompt', 'a red circle');
      await page.fill('#seed', '-2');
      await page.click('#create');
      await visitor.sees('#seed-error');
    }),
  );

  browserTest('takes a picture, shows the part that will be used, and drops it again', () =>
    atThePage(
      async ({ visitor }) => {
        const { page } = visitor;
        await page.setInputFiles('#picture', { name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('text') });
        await page.fill('#prompt', 'a cat');
        await page.click('#create');
        await visitor.sees('#input_reference-error', 'Must be a PNG, JPEG, WebP or AVIF picture');
        const buffer = await plainPicture('#f00');
        await page.setInputFiles('#picture', { name: "a cat's.png", mimeType: 'image/png', buffer });
        await visitor.sees('#picture-caption', "a cat's.png, 200×100; its centre of 100×100 is used");
        expect(await page.getAttribute('#picture-crop', 'style')).toBe('inset: 0% 25%;');
        expect(await visitor.seriousBarriers()).toEqual([]);
        await page.click('text=More settings');
        await page.click('text=This request as curl');
        expect(await page.inputValue('#curl-text')).toContain(`-F 'input_reference=@"a cat'\\''s.png"'`);
        await page.keyboard.press('Escape');
        await page.check('input[value="low"]');
        await page.click('#create');
        await visitor.sees('.job[data-state="done"]');
        await visitor.sees('.job-notes', 'The picture was cropped');

        await page.click('text=Edit settings');
        await visitor.sees('#picture-caption', 'picture of an earlier video, 128×128');
        await page.click('#picture-remove');
        expect(await page.isHidden('#picture-chosen')).toBe(true);
        await page.setInputFiles('#picture', { name: 'cat.png', mimeType: 'image/png', buffer });

        // Keyframes replace the picture, in the order of their names.
        const blue = await plainPicture('#00f', 128, 128);
        const files = [buffer, blue].map((each, i) => ({ name: `${10 - i}.png`, mimeType: 'image/png', buffer: each }));
        await page.setInputFiles('#keyframes', Array(16).fill(files[0]!));
        await visitor.sees('#keyframes-error', 'There must be 2 to 15 pictures (got 16).');
        await page.setInputFiles('#keyframes', files);
        await visitor.sees('#keyframes-caption', '2 pictures, 9.png to 10.png');
        expect(await page.isHidden('#picture-chosen')).toBe(true);
        expect(await page.locator('#keyframes-strip img').count()).toBe(2);
        const framesAt = (rate: string) => page.textContent(`.rate:has(input[value="${rate}"]) [data-part="frames"]`);
        expect(await Promise.all(['low', 'medium', 'high'].map(framesAt))).toEqual(['2', '5', '17']);
        await page.setInputFiles('#keyframes', { name: 'a.mp4', mimeType: 'video/mp4', buffer });
        await visitor.sees('#keyframes-caption', 'a.mp4');
        expect(await framesAt('medium')).toBe('up to 57');
        await page.setInputFiles('#keyframes', files);
        await visitor.sees('#keyframes-caption', '2 pictures, 9.png to 10.png');
        expect(await visitor.seriousBarriers()).toEqual([]);
        await page.click('text=This request as curl');
        expect(await page.inputValue('#curl-text')).toContain(`-F 'keyframes=@"9.png"' \\\n  -F 'keyframes=@"10.png"'`);
        await page.keyboard.press('Escape');
        await page.check('input[value="medium"]');
        await page.click('#create');
        await visitor.sees('.job[data-state="done"] .frame-counter', '/ 5');
        await page.click('text=Edit settings');
        await visitor.sees('#keyframes-caption', '2 keyframes of an earlier video');
        expect(await framesAt('high')).toBe('17');
        await page.click('#keyframes-remove');
        expect(await page.isHidden('#keyframes-chosen')).toBe(true);
        expect(await framesAt('high')).toBe('225');
        await page.selectOption('#model', 'text-only');
        expect(await page.isHidden('#picture-field')).toBe(true);
      },
      {},
      { presets: [pictured, textOnly] },
    ),
  );

  browserTest('makes what its settings say, and shows the curl command', () =>
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
      expect(await page.textContent('#format option:checked')).toBe('mp4 (default)');
      expect(await page.inputValue('#seed')).toMatch(/^\d+$/);

      // During an upgrade the page may be newer than the gateway that answers it.
      const newer = ['lora', 'loras', 'input_reference', 'given_keyframes'];
      await page.route(/\/v1\/(presets|videos(\/video_\w+)?)(\?.*)?$/, async (route) => {
        const response = await route.fetch();
        const body = JSON.stringify(await response.json(), (key, value) => (newer.includes(key) ? undefined : value));
        await route.fulfill({ response, body });
      });
      await page.reload();
      await visitor.sees('.job[data-state="done"]');
      await page.click('text=Edit settings');
      expect(await page.inputValue('#steps')).toBe('3');
      expect(await page.isHidden('#keyframes-field')).toBe(true);
    }),
  );
});

browserTest('offers the models of the gateway, each with its own defaults, and their LoRAs', async () => {
  const { address } = await scope.open(() => startStageDoubles());
  const loras = [{ name: 'ink', scale: 0.5 }];
  const routes = [
    testRoute(address, { version: '1' }),
    testRoute(address, { version: 'ink', loras }),
    testRoute(address, { preset: draft }),
  ] as const;
  await atThePage(
    async ({ visitor }) => {
      const { page } = visitor;
      await page.fill('#prompt', 'a red circle');
      await page.selectOption('#lora', 'ink:0.5');
      await page.check('input[value="low"]');
      await page.click('#create');
      await visitor.sees('.job[data-state="done"] .job-facts', 'nano@ink');
      await page.selectOption('#lora', '');
      await page.click('text=Edit settings');
      expect(await page.inputValue('#lora')).toBe('ink:0.5');
      await page.click('text=Reset to the defaults');
      await visitor.waitsUntil('document.querySelector("#lora").value === ""');
      await page.click('text=More settings');
      const usual = await page.getAttribute('#steps', 'placeholder');
      await page.fill('#prompt', 'a red circle');
      await page.selectOption('#model', 'draft');
      expect(await page.getAttribute('#steps', 'placeholder')).toBe('3');
      expect(await page.locator('#rates input:checked').inputValue()).toBe('low');
      expect(await page.textContent('#preset-facts')).toContain('draft');
      expect(await page.isHidden('#lora-field')).toBe(true);
      expect(await page.inputValue('#prompt')).toBe('a red circle');
      await page.click('#create');
      await visitor.sees('.job[data-state="done"] .job-facts', 'draft');
      await page.click('text=More settings');
      await page.click('text=Reset to the defaults');
      await visitor.sees(`#steps[placeholder="${usual}"]`);
      await page.click('text=Edit settings');
      expect(await page.inputValue('#model')).toBe('draft');
      await page.click('text=This request as curl');
      expect(await page.inputValue('#curl-text')).toContain('"model": "draft"');
    },
    {},
    { routes },
  );
});

browserTest('the message that the gateway cannot be reached disappears when it can', () =>
  atThePage(async ({ visitor }) => {
    const { page } = visitor;
    await visitor.sees('.empty');
    await page.fill('#prompt', 'a red circle');
    await page.context().setOffline(true);
    await page.click('#create');
    await visitor.sees('.form-error', 'The gateway cannot be reached.');
    await page.context().setOffline(false);
    await visitor.waitsUntil('document.querySelector("#connection").hidden');
    expect(await page.textContent('.form-error')).toBe('');
    expect(await page.inputValue('#prompt')).toBe('a red circle');
  }),
);

browserTest('an API key is requested if one is needed, and only then', () =>
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
