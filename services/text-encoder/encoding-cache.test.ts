import { expect, test } from '@jest/globals';
import { tensor } from '../pipeline/tensor.ts';
import { type Encoding, EncodingCache } from './encoding-cache.ts';

const never = new AbortController().signal;

// 96 bytes of context, 2 of mask and 2 of a key of one letter.
const encodingBytes = 100;
const encoding: Encoding = {
  context: tensor('float32', [2, 12], new Float32Array(24)),
  contextMask: tensor('bool', [2], new Uint8Array(2)),
  isOverflowed: false,
};

function countingCache(maxBytes: number) {
  const cache = new EncodingCache(maxBytes);
  const encoded: string[] = [];
  const get = (key: string) =>
    cache.get(key, never, async () => {
      encoded.push(key);
      return encoding;
    });
  return { get, encoded };
}

test('encodings are cached', async () => {
  const { get, encoded } = countingCache(10 * encodingBytes);
  expect(await get('a')).toBe(encoding);
  expect(await get('a')).toBe(encoding);
  expect(encoded).toEqual(['a']);
});

test('the bytes are bounded, and the most recently used entries stay', async () => {
  const { get, encoded } = countingCache(2 * encodingBytes);
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) {
    await get(key);
  }
  expect(encoded).toEqual(['a', 'b', 'c', 'b']);
});

test('an encoding larger than the cache is not kept', async () => {
  const { get, encoded } = countingCache(encodingBytes - 1);
  await get('a');
  await get('a');
  expect(encoded).toEqual(['a', 'a']);
});

test('a failure is not kept', async () => {
  const cache = new EncodingCache(10 * encodingBytes);
  await expect(cache.get('a', never, () => Promise.reject(new Error('down')))).rejects.toThrow('down');
  expect(await cache.get('a', never, async () => encoding)).toBe(encoding);
});
