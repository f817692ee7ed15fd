import { expect, test } from '@jest/globals';
import { toBfloat16, toFloat16 } from '../../services/pipeline/half-floats.ts';
import { convertElements } from './convert-elements.ts';

const values = Float32Array.of(1, -2.5, 0.1, 65504, 2 ** -24);
const bytesOf = ({ buffer }: { buffer: ArrayBufferLike }) => new Uint8Array(buffer);
const floats = (bytes: Uint8Array) => [...new Float32Array(Uint8Array.from(bytes).buffer)];

test('data already in the wanted precision stays unchanged', () => {
  const bytes = bytesOf(values);
  expect(convertElements(bytes, 'F32', 'F32')).toBe(bytes);
});

test('conversion to half precision rounds, conversion back is lossless', () => {
  const halves = convertElements(bytesOf(values), 'F32', 'F16');
  expect(halves).toEqual(bytesOf(toFloat16(values)));
  expect(floats(convertElements(halves, 'F16', 'F32'))).toEqual([1, -2.5, 0.0999755859375, 65504, 2 ** -24]);
});

test('bfloat16 converts via float32, at any alignment', () => {
  const stored = new Uint8Array([7, ...bytesOf(toBfloat16(Float32Array.of(1, -2.5)))]).subarray(1);
  expect(floats(convertElements(stored, 'BF16', 'F32'))).toEqual([1, -2.5]);
  expect(convertElements(stored, 'BF16', 'F16')).toEqual(bytesOf(toFloat16(Float32Array.of(1, -2.5))));
  expect(convertElements(bytesOf(Float32Array.of(1, -2.5)), 'F32', 'BF16')).toEqual(stored);
});
