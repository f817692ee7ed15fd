import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readRange, readRangeSync, writeRange } from './file-ranges.ts';
import { temporaryFolder } from './testing/temporary-folder.ts';
import { scopeOfEachTest } from './testing/test-scope.ts';

const scope = scopeOfEachTest();

test.each([0, 1000, 3 << 20, 9 << 20])('writes and reads %d bytes in the middle of a file', async (size) => {
  const descriptor = openSync(join(temporaryFolder(scope), 'file'), 'w+');
  const bytes = Uint8Array.from({ length: size }, (_, index) => index * 31);
  await writeRange(descriptor, bytes, 7);
  for (const read of [readRange, readRangeSync]) {
    const data = new Uint8Array(size);
    expect(await read(descriptor, data, 7)).toBe(true);
    expect(Buffer.compare(data, bytes)).toBe(0);
  }
  if (size > 0) {
    ftruncateSync(descriptor, 7 + size - 1);
    expect(await readRange(descriptor, new Uint8Array(size), 7)).toBe(false);
    expect(readRangeSync(descriptor, new Uint8Array(size), 7)).toBe(false);
  }
  closeSync(descriptor);
});

test('a failure is an error', async () => {
  for (const size of [10, 3 << 20]) {
    await expect(readRange(-1, new Uint8Array(size), 0)).rejects.toThrow();
  }
});
