import { appendFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { fileKey, KeptResults } from './kept-results.ts';

const scope = scopeOfEachTest();
const never = () => Promise.reject(new Error('computed again'));

test('the next call goes on from what an interrupted one has kept, a line cut short aside', async () => {
  const folder = temporaryFolder(scope);
  const output = join(folder, 'picture.png');
  const first = await KeptResults.beside(output);
  expect(await first.get('a', async () => [1.5])).toEqual({ value: [1.5], wasKept: false });
  await first.get('b', async () => ({ x: 2 }));
  expect(await first.close()).toBe(true);
  await appendFile(first.path, '["c",{"x"');

  const second = await KeptResults.beside(output);
  expect(await second.get('a', never)).toEqual({ value: [1.5], wasKept: true });
  await second.get('c', async () => 3);
  await second.close();

  const third = await KeptResults.beside(output);
  expect(await Promise.all(['a', 'b', 'c'].map((key) => third.get(key, never)))).toEqual([
    { value: [1.5], wasKept: true },
    { value: { x: 2 }, wasKept: true },
    { value: 3, wasKept: true },
  ]);
  await third.remove();
  expect(await readdir(folder)).toEqual([]);
});

test.each(['{"prompt": "a"}\n', '["a"]\n', 'notes', '\n'])(
  'a file that is another one is refused: %j',
  async (text) => {
    const output = join(temporaryFolder(scope), 'picture.png');
    await writeFile(`${output}.results.jsonl`, text);
    await expect(KeptResults.beside(output)).rejects.toThrow(
      /^`--output` must be another file name: picture\.png\.results/,
    );
  },
);

test('no file without results', async () => {
  const folder = temporaryFolder(scope);
  const results = await KeptResults.beside(join(folder, 'picture.png'));
  await expect(results.get('a', never)).rejects.toThrow('computed again');
  expect(await results.close()).toBe(false);
  expect(await readdir(folder)).toEqual([]);
});

test('the key of a folder changes when one of its frames is overwritten in place', async () => {
  const folder = temporaryFolder(scope);
  const frame = join(folder, '1.png');
  await writeFile(frame, 'abc');
  await utimes(frame, 1, 1);
  const key = await fileKey(folder);
  expect(await fileKey(folder)).toBe(key);
  await writeFile(frame, 'abd');
  await utimes(frame, 2, 2);
  expect(await fileKey(folder)).not.toBe(key);
});
