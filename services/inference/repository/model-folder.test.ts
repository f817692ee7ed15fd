import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { scopeOfEachTest } from '../../kit/testing/test-scope.ts';
import { folderOf } from '../testing.ts';
import { folderTimes } from './model-folder.ts';

const scope = scopeOfEachTest();

function modelFolder(files: Record<string, string>): string {
  const { folder, remove } = folderOf(files);
  scope.defer(remove);
  return folder;
}

test('the walk through a model folder does not follow links to folders', () => {
  const folder = modelFolder({ '1/model.onnx': '' });
  symlinkSync('/', join(folder, 'root'));
  symlinkSync('..', join(folder, '1', 'loop'));
  symlinkSync('nowhere', join(folder, '1', 'broken'));
  expect([...folderTimes(folder).entries.keys()].sort()).toEqual(['1', 'root']);
});

test.each([
  ['levels', { [`${'1/'.repeat(16)}model.onnx`]: '' }],
  ['entries', Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`1/${index}`, '']))],
])('a folder with too many %s is refused', (_, files) => {
  expect(() => folderTimes(modelFolder(files))).toThrow("must have at most 10000 entries and 16 levels, but '");
});
