import { expect, test } from '@jest/globals';
import { guide, guideByTextAndPicture } from './guidance.ts';

const conditional = Float32Array.of(1, -2, 0.5);
const unconditional = Float32Array.of(0.5, 1, 0.5);

test('guidance moves away from the unconditional prediction', () => {
  expect([...guide(conditional, unconditional, 5)]).toEqual([3.5, -17, 0.5]);
  expect([...guide(conditional, unconditional, 0.25)]).toEqual([1.125, -2.75, 0.5]);
});

test('a scale of 0 gives the conditional prediction', () => {
  expect([...guide(conditional, unconditional, 0)]).toEqual([...conditional]);
});

test('text and picture guide apart', () => {
  const [both, picture, nothing] = [Float32Array.of(1, 2), Float32Array.of(0.5, 1), Float32Array.of(0.25, -1)];
  expect([...guideByTextAndPicture([both, picture, nothing], { text: 5, image: 3 })]).toEqual([3.5, 10]);
  expect([...guideByTextAndPicture([both, picture, nothing], { text: 1, image: 1 })]).toEqual([...both]);
});
