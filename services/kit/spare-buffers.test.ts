import { expect, test } from '@jest/globals';
import { bufferOf, freeBuffer, keepSpare } from './spare-buffers.ts';

const size = 300 << 10;

test('a kept buffer is given out once, for its own size', () => {
  const { buffer } = bufferOf(size);
  keepSpare(buffer);
  keepSpare(buffer);
  expect(bufferOf(size + 1).buffer === buffer).toBe(false);
  const first = bufferOf(size);
  expect(first.buffer === buffer).toBe(true);
  expect(bufferOf(size).buffer === buffer).toBe(false);
  expect(first.byteLength).toBe(size);
});

test('those kept longest are freed when there are too many', () => {
  const buffers = Array.from({ length: 5 }, () => new ArrayBuffer(64 << 20));
  buffers.forEach(keepSpare);
  expect(buffers.map(({ byteLength }) => byteLength > 0)).toEqual([false, true, true, true, true]);
  for (const _ of buffers.slice(1)) {
    freeBuffer(bufferOf(64 << 20).buffer);
  }
  expect(buffers.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0, 0]);
});
