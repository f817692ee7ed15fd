import { expect, test } from '@jest/globals';
import { toBfloat16, toFloat16 } from '../../services/pipeline/half-floats.ts';
import { largeAt } from './find-large.ts';

const bytesOf = ({ buffer }: { buffer: ArrayBufferLike }) => new Uint8Array(buffer);
const { POSITIVE_INFINITY: infinity, NaN: nan } = Number;
const finite = [0, -0, 1, -65504, 2 ** -24, 65504];
const float32 = (values: number[]) => bytesOf(Float32Array.from(values));
const float16 = (values: number[]) => bytesOf(toFloat16(Float32Array.from(values)));
const bfloat16 = (values: number[]) => bytesOf(toBfloat16(Float32Array.from(values)));

test.each([
  ['F32', float32],
  ['F16', float16],
  ['BF16', bfloat16],
] as const)('%s: the first element that is not finite', (type, encode) => {
  expect(largeAt(encode(finite), type, type)).toBeUndefined();
  expect(largeAt(encode([]), type, type)).toBeUndefined();
  for (const value of [nan, infinity, -infinity]) {
    for (const at of [0, 1, 2, 5, 6]) {
      const values = [...finite.slice(0, at), value, ...finite.slice(at), infinity];
      for (const wanted of ['F32', type] as const) {
        expect(largeAt(encode(values), type, wanted)).toBe(at);
      }
    }
  }
});

test('the largest numbers are finite', () => {
  expect(largeAt(float32([3.4028234663852886e38, -3.4028234663852886e38]), 'F32', 'F32')).toBeUndefined();
  expect(largeAt(Uint8Array.of(0x7f, 0x7f, 0x7f, 0xff), 'BF16', 'F32')).toBeUndefined();
});

test('numbers that round to infinity in a narrower type, and their neighbours', () => {
  expect(largeAt(float32([65519.99, -65520]), 'F32', 'F16')).toBe(1);
  expect(largeAt(bfloat16([65280, -65536]), 'BF16', 'F16')).toBe(1);
  expect(largeAt(float32([3.3895e38, -3.3962e38]), 'F32', 'BF16')).toBe(1);
  for (const value of [65519.99, 65520, 65536]) {
    const becomesInfinite = toFloat16(Float32Array.of(value))[0] === 0x7c00;
    expect(largeAt(float32([1, value]), 'F32', 'F16')).toBe(becomesInfinite ? 1 : undefined);
  }
});

test('bytes at any alignment', () => {
  const shifted = new Uint8Array([9, ...float16([1, 2, nan])]).subarray(1);
  expect(largeAt(shifted, 'F16', 'F16')).toBe(2);
});
