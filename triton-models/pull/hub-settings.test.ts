import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { keptToken } from './hub-settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'fusionframes-token-'));
afterAll(() => rmSync(folder, { recursive: true }));

const none = { tokenPath: '', home: '', disableKeptToken: '' };

test("the token that the hub's own program keeps", () => {
  writeFileSync(join(folder, 'token'), 'hf_kept\n');
  expect(keptToken({ ...none, home: folder })).toBe('hf_kept');
  expect(keptToken({ ...none, tokenPath: join(folder, 'token') })).toBe('hf_kept');
  expect(keptToken({ ...none, home: folder, disableKeptToken: '1' })).toBe('');
  expect(keptToken(none, folder)).toBe('');
});
