import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { keptToken } from './hub-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'fusionframes-token-'));
afterAll(() => rmSync(folder, { recursive: true }));

test("the token that the hub's own program keeps", () => {
  writeFileSync(join(folder, 'token'), 'hf_kept\n');
  expect(keptToken({ HF_HOME: folder })).toBe('hf_kept');
  expect(keptToken({ HF_TOKEN_PATH: join(folder, 'token') })).toBe('hf_kept');
  expect(keptToken({ HF_HOME: folder, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBe('');
  expect(keptToken({ HF_HOME: join(folder, 'nowhere') })).toBe('');
});
