import { expect, test } from '@jest/globals';
import { guide } from './guidance.ts';

const conditional = Float32Array.of(1, -2, 0.5);
const unconditional = Float32Array.of(0.5, 1, 0.5);

test('guidance moves away from the unconditional prediction', () => {
  expect([...guide(conditional, unconditional, 5)]).toEqual([3.5, -17, 0.5]);
  expect([...guide(conditional, unconditional, 0.25)]).toEqual([1.125, -2.75, 0.5]);
});

test('a scale of 0 gives the conditional prediction', () => {
  expect([...guide(conditional, unconditional, 0)]).toEqual([...conditional]);
});
