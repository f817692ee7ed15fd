import { expect, test } from '@jest/globals';
import { tensor } from '../tensor.ts';
import { decodeTensorFile, encodeTensorFile } from './tensor-file.ts';

const latents = tensor('float32', [2, 1, 1, 2], Float32Array.of(1 / 3, -0, Number.MIN_VALUE, 3.4e38));
const mask = tensor('bool', [3], Uint8Array.of(1, 0, 1));

test('tensors survive the round trip bit for bit', () => {
  const file = encodeTensorFile({ mask, latents });
  const read = decodeTensorFile(file);
  expect([...read.keys()]).toEqual(['mask', 'latents']);
  expect(read.get('mask')).toEqual(mask);
  expect(read.get('latents')).toEqual(latents);
});

test('a file is read at any alignment', () => {
  const file = encodeTensorFile({ latents });
  const moved = new Uint8Array(file.length + 3);
  moved.set(file, 3);
  expect(decodeTensorFile(moved.subarray(3)).get('latents')).toEqual(latents);
});

test.each([0, 7, 20, -1])('a file truncated to %i bytes is rejected', (length) => {
  const file = encodeTensorFile({ latents });
  expect(() => decodeTensorFile(file.subarray(0, length))).toThrow(/cut short/);
});
