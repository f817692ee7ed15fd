import { expect, test } from '@jest/globals';
import { toBfloat16, toFloat16 } from '../../services/pipeline/half-floats.ts';
import { nonFiniteAt } from './find-non-finite.ts';

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
  expect(nonFiniteAt(encode(finite), type)).toBeUndefined();
  expect(nonFiniteAt(encode([]), type)).toBeUndefined();
  for (const value of [nan, infinity, -infinity]) {
    for (const at of [0, 1, 2, 5, 6]) {
      const values = [...finite.slice(0, at), value, ...finite.slice(at), infinity];
      expect(nonFiniteAt(encode(values), type)).toBe(at);
    }
  }
});

test('the largest numbers are finite', () => {
  expect(nonFiniteAt(float32([3.4028234663852886e38, -3.4028234663852886e38]), 'F32')).toBeUndefined();
  expect(nonFiniteAt(Uint8Array.of(0x7f, 0x7f, 0x7f, 0xff), 'BF16')).toBeUndefined();
});

test('bytes at any alignment', () => {
  const shifted = new Uint8Array([9, ...float16([1, 2, nan])]).subarray(1);
  expect(nonFiniteAt(shifted, 'F16')).toBe(2);
});
