import { expect, test } from '@jest/globals';
import { backgroundOf, withOneBackground } from './background.ts';

test('all keyframes get the background of the first, and their things move with it', () => {
  const shape = [2, 2, 4, 4];
  const keyframes = Float32Array.from({ length: 64 }, (_, index) => [1, 2, 1.5, 1][index >> 4]!);
  // A thing in the second keyframe, inside and at the rim.
  keyframes[37] = 9;
  keyframes[36] = 9;
  const even = withOneBackground(keyframes, shape);
  expect(backgroundOf(even.subarray(32), shape)).toEqual([1, 2]);
  expect([even[37], even[36], even[32], even[48]]).toEqual([8.5, 8.5, 1, 2]);
  expect(even.subarray(0, 32)).toEqual(keyframes.subarray(0, 32));
});
