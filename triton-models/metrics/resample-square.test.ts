import { expect, test } from '@jest/globals';
import { resampleSquare } from './resample-square.ts';

const grey = (...levels: number[]) => Uint8Array.from(levels.flatMap((level) => [level, level, level]));
/** The first plane, in 0…255. */
const levels = (planes: Float32Array) =>
  Array.from(planes.subarray(0, planes.length / 3), (value) => Math.round((value + 1) * 12750) / 100);

test("enlarges like PyTorch's interpolate without aligned corners", () => {
  expect(levels(resampleSquare(grey(0, 100, 200, 40), 2, 2, 4, 'none'))).toEqual([
    0, 25, 75, 100, 50, 58.75, 76.25, 85, 150, 126.25, 78.75, 55, 200, 160, 80, 40,
  ]);
});

test('aligns the centres of corner pixels where asked to', () => {
  expect(levels(resampleSquare(grey(0, 90, 30, 60), 2, 2, 4, 'none', true))).toEqual([
    0, 30, 60, 90, 10, 33.33, 56.67, 80, 20, 36.67, 53.33, 70, 30, 40, 50, 60,
  ]);
});

test('shrinks without smoothing', () => {
  expect(levels(resampleSquare(grey(0, 10, 20, 30, 40, 50), 6, 1, 1, 'none'))).toEqual([25]);
  expect(levels(resampleSquare(grey(0, 255, 0, 0, 255, 0, 0, 0, 0), 3, 3, 1, 'none'))).toEqual([255]);
});

test('cuts the middle out of a wide picture', () => {
  const wide = grey(1, 2, 3, 4, 5, 6, 7, 8);
  expect(levels(resampleSquare(wide, 4, 2, 2, 'centre'))).toEqual([2, 3, 6, 7]);
  expect(levels(resampleSquare(wide, 4, 2, 2, 'none'))).toEqual([1.5, 3.5, 5.5, 7.5]);
});

test('colours stay apart', () => {
  expect(Array.from(resampleSquare(Uint8Array.of(255, 0, 51), 1, 1, 1, 'none'), (value) => value.toFixed(2))).toEqual([
    '1.00',
    '-1.00',
    '-0.60',
  ]);
});
