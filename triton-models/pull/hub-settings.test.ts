import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { keptToken, readHubSettings } from './hub-settings.ts';

const folder = temporaryFolder(scopeOfAllTests());

const none = { tokenPath: '', home: '', disableKeptToken: '' };

test("the token that the hub's own program keeps", () => {
  writeFileSync(join(folder, 'token'), 'hf_kept\n');
  expect(keptToken({ ...none, home: folder })).toBe('hf_kept');
  expect(keptToken({ ...none, tokenPath: join(folder, 'token') })).toBe('hf_kept');
  expect(keptToken({ ...none, home: folder, disableKeptToken: '1' })).toBe('');
  expect(keptToken(none, folder)).toBe('');
});

test('proxies, in either spelling', () => {
  const environment = { http_proxy: 'http://a:1', HTTP_PROXY: 'http://b:2', HTTPS_PROXY: 'http://c:3', no_proxy: 'x' };
  expect(readHubSettings(environment)).toMatchObject({
    httpProxy: 'http://a:1',
    httpsProxy: 'http://c:3',
    noProxy: 'x',
  });
  expect(() => readHubSettings({ https_proxy: 'user:secret@proxy' })).toThrow(
    '`HTTPS_PROXY` must be an http or https URL',
  );
});
