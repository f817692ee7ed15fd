import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { makeFolder } from './make-folder.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';
import { scopeOfAllTests } from './testing/test-scope.ts';

const folder = temporaryFolder(scopeOfAllTests());

test('creates parents and keeps existing folders', async () => {
  const path = join(folder, 'a', 'b', 'c');
  await makeFolder(path);
  await makeFolder(path);
  expect((await stat(path)).isDirectory()).toBe(true);
});

test('reports what is in the way', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(makeFolder(join(folder, 'file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

(process.platform === 'linux' ? test : test.skip)('ends where no folder can be made', async () => {
  await expect(makeFolder('/proc/nowhere/x')).rejects.toMatchObject({ code: 'ENOENT' });
});
