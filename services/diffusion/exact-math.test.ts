import { expect, test } from '@jest/globals';
import { logarithm, unitCircle } from './exact-math.ts';

test('logarithm agrees with Math.log over (0, 1]', () => {
  const inputs = [1, 0.5, Math.SQRT1_2, 1 - 2 ** -33, 2 ** -33, 3 * 2 ** -33];
  for (let i = 1; i < 1000; i++) {
    inputs.push(i / 1000);
  }
  for (const x of inputs) {
    expect(Math.abs(logarithm(x) - Math.log(x))).toBeLessThanOrEqual(1e-15 * Math.abs(Math.log(x)) + 1e-300);
  }
});

test('unitCircle agrees with Math.cos and Math.sin all the way around', () => {
  const point = new Float64Array(2);
  for (let i = 0; i <= 4096; i++) {
    const angle = Math.min(i * 2 ** 20, 2 ** 32 - 1);
    unitCircle(angle, point);
    const radians = (2 * Math.PI * angle) / 2 ** 32;
    expect(Math.abs(point[0]! - Math.cos(radians))).toBeLessThan(1e-13);
    expect(Math.abs(point[1]! - Math.sin(radians))).toBeLessThan(1e-13);
  }
});
