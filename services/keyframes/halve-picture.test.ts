import { expect, test } from '@jest/globals';
import { halvePicture } from './halve-picture.ts';

test('a plain picture stays plain, to its borders', () => {
  const halved = halvePicture(new Uint8Array(8 * 12 * 3).fill(77), [8, 12, 3]);
  expect(halved).toHaveLength(4 * 6 * 3);
  expect(new Set(halved)).toEqual(new Set([77]));
});

test('an edge keeps its place and overshoots as the bicubic kernel does', () => {
  // Black, then white, in one row: far from the edge nothing changes.
  const row = Uint8Array.from({ length: 16 }, (_, i) => (i < 8 ? 40 : 200));
  const rows = Uint8Array.from([...row, ...row]);
  const halved = [...halvePicture(rows, [2, 16, 1])];
  expect(halved.slice(0, 2)).toEqual([40, 40]);
  expect(halved.slice(6)).toEqual([200, 200]);
  expect(halved[3]! + halved[4]!).toBe(240);
  expect(halved[3]!).toBeGreaterThan(40);
  expect(halved[2]!).toBeLessThan(40);
});

test('channels do not mix', () => {
  const pixels = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => [10, 120, 250][i % 3]!);
  expect([...halvePicture(pixels, [4, 4, 3])]).toEqual(Array.from({ length: 12 }, (_, i) => [10, 120, 250][i % 3]!));
});
