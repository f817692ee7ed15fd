import { createHash } from 'node:crypto';
import { readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { FileHashes } from './file-hashes.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';

const scope = scopeOfEachTest();
let folder: string;
let file: string;
const cache = () => join(folder, '.hashes.json');
beforeEach(async () => {
  folder = temporaryFolder(scope);
  file = join(folder, 'weights');
  await writeFile(file, 'one');
});

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test('a file is read once, even across processes', async () => {
  const hashes = new FileHashes(cache());
  expect(await hashes.sha256(file)).toBe(sha256('one'));
  // Of the same size and time, so that only its content differs.
  const { atime, mtime } = await stat(file);
  await utimes(file, atime, mtime);
  expect(await new FileHashes(cache()).sha256(file)).toBe(sha256('one'));
  await writeFile(file, 'two');
  await utimes(file, atime, mtime);
  const known = JSON.parse(await readFile(cache(), 'utf8')) as { weights: { changed: string } };
  const { mtimeNs } = await stat(file, { bigint: true });
  await writeFile(cache(), JSON.stringify({ weights: { ...known.weights, changed: String(mtimeNs) } }));
  expect(await new FileHashes(cache()).sha256(file)).toBe(sha256('one'));
});

test('a file of another size, time or inode is read again', async () => {
  const hashes = new FileHashes(cache());
  await hashes.sha256(file);
  await writeFile(file, 'longer');
  expect(await hashes.sha256(file)).toBe(sha256('longer'));
  await writeFile(file, 'brief.');
  await utimes(file, new Date(), new Date(1e12));
  expect(await hashes.sha256(file)).toBe(sha256('brief.'));
  await writeFile(`${file}.new`, 'other.');
  await utimes(`${file}.new`, new Date(), new Date(1e12));
  await rename(`${file}.new`, file);
  expect(await hashes.sha256(file)).toBe(sha256('other.'));
});

test('externally known hashes are kept, several at once', async () => {
  const hashes = new FileHashes(cache());
  const names = Array.from({ length: 20 }, (_, i) => String(i));
  await Promise.all(names.map((name) => writeFile(join(folder, name), name)));
  await Promise.all(names.map((name) => hashes.note(join(folder, name), sha256('noted'))));
  expect(await new FileHashes(cache()).sha256(join(folder, '7'))).toBe(sha256('noted'));
  expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
});

test('hashes are right even if they cannot be cached', async () => {
  const hashes = new FileHashes(join(folder, 'nowhere', '.hashes.json'));
  expect(await hashes.sha256(file)).toBe(sha256('one'));
  await expect(hashes.sha256(join(folder, 'gone'))).rejects.toThrow('ENOENT');
});
