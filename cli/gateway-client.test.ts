import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { createAuthority } from '../services/kit/testing/certificates.ts';
import { temporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../services/kit/testing/test-scope.ts';
import { clientTls } from './gateway-client.ts';

const scope = scopeOfEachTest();
const names = ['FUSIONFRAMES_TLS_CA', 'FUSIONFRAMES_TLS_SERVER_NAME'] as const;
afterEach(() => {
  for (const name of names) {
    delete process.env[name];
  }
});

test('a server reached under another name is known by the one in its certificate', async () => {
  const file = join(temporaryFolder(scope), 'ca.pem');
  await writeFile(file, createAuthority().certificate);
  process.env.FUSIONFRAMES_TLS_SERVER_NAME = 'gateway';
  expect(await clientTls()).toBeUndefined();
  process.env.FUSIONFRAMES_TLS_CA = file;
  expect(await clientTls()).toMatchObject({ serverName: 'gateway' });
  process.env.FUSIONFRAMES_TLS_SERVER_NAME = '';
  expect(await clientTls()).not.toHaveProperty('serverName');
});
