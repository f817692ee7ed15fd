import { describe, expect, test } from '@jest/globals';
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half-floats.ts';

const everyHalf = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits);

describe.each([
  ['float16', toFloat16, fromFloat16, 0x7c00],
  ['bfloat16', toBfloat16, fromBfloat16, 0x7f80],
] as const)('%s', (_, to, from, infinity) => {
  test('every number survives the round trip', () => {
    const numbers = everyHalf.filter((bits) => (bits & 0x7fff) <= infinity);
    expect(to(from(numbers))).toEqual(numbers);
  });

  test('every NaN stays NaN', () => {
    const nans = everyHalf.filter((bits) => (bits & 0x7fff) > infinity);
    expect(from(nans).every(Number.isNaN)).toBe(true);
    expect(from(to(from(nans))).every(Number.isNaN)).toBe(true);
  });

  test('numbers round to nearest, ties to even', () => {
    const lower = everyHalf.filter((bits) => bits < infinity - 1);
    const [low, high] = [from(lower), from(lower.map((bits) => bits + 1))];
    const between = (part: number) => low.map((value, index) => value + (high[index]! - value) * part);
    expect(to(between(0.25))).toEqual(lower);
    expect(to(between(0.75))).toEqual(lower.map((bits) => bits + 1));
    // Between the smallest numbers of bfloat16 float32 itself has few steps, but it has the middle.
    expect(to(between(0.5))).toEqual(lower.map((bits) => bits + (bits & 1)));
  });
});

test('float16 has these numbers', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00);
  expect([...fromFloat16(bits)]).toEqual([1, -2, 65504, 2 ** -24, -0, Number.POSITIVE_INFINITY]);
  expect([...toFloat16(Float32Array.of(65519, 65520, 2 ** -25, 2 ** -24 * 0.51))]).toEqual([0x7bff, 0x7c00, 0, 1]);
});

test('bfloat16 has these numbers', () => {
  expect([...fromBfloat16(Uint16Array.of(0x3f80, 0xc040))]).toEqual([1, -3]);
  expect([...toBfloat16(Float32Array.of(3.4028234663852886e38))]).toEqual([0x7f80]);
});
