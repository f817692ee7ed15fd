import { expect, test } from '@jest/globals';
import { hintAtThings } from './hint-at-things.ts';

test('only where a thing is, and less in each further keyframe', () => {
  const size = 4;
  const plane = size * size;
  const picture = new Float32Array(2 * plane).fill(3);
  // A thing in one channel, brighter than the background by 8.
  picture[plane + 5] = 11;
  const noise = Float32Array.from({ length: 3 * 2 * plane }, (_, index) => Math.fround(Math.sin(index)));
  const hinted = hintAtThings(noise, picture, [3, 2, size, size]);
  const changes = [...hinted]
    .map((value, index) => [index, value - noise[index]!] as const)
    .filter(([, by]) => by !== 0);
  const places = [1, 2].map((frame) => frame * 2 * plane + plane + 5);
  expect(changes.map(([index]) => index)).toEqual(places);
  expect(changes[0]![1]).toBeCloseTo(0.25 * 8, 5);
  expect(changes[1]![1] / changes[0]![1]).toBeCloseTo(0.7165, 3);
});
