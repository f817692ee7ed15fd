import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { tensorBytes } from './tensor-bytes.ts';

const elements = 4_400_000;
const folder = temporaryFolder(scopeOfAllTests());
let file: string;
beforeAll(async () => {
  file = join(folder, 'numbers');
  await writeFile(
    file,
    Uint32Array.from({ length: elements }, (_, i) => i),
  );
});

async function read(shape: number[], strides?: number[], start = 0) {
  const length = 4 * shape.reduce((product, size) => product * size, 1);
  const stored = { file, dataType: 'F32', shape, offset: 4 * start, length, ...(strides && { strides }) } as const;
  const pieces: Uint8Array[] = [];
  for await (const piece of tensorBytes(stored)) {
    pieces.push(Uint8Array.from(piece));
  }
  const bytes = new Uint8Array(Buffer.concat(pieces));
  return { values: new Uint32Array(bytes.buffer), longest: Math.max(...pieces.map((piece) => piece.length)) };
}

/** First element, relative to `expected`, that is not what the strides say; −1 when all are. */
function firstDifference(values: Uint32Array, expected: (index: number) => number): number {
  return values.findIndex((value, i) => value !== expected(i));
}

test('a long tensor is read in chunks of at most 8 MiB', async () => {
  const { values, longest } = await read([elements - 1], undefined, 1);
  expect(longest).toBe(8 * 2 ** 20);
  expect(values.length).toBe(elements - 1);
  expect(firstDifference(values, (i) => i + 1)).toBe(-1);
});

test.each([
  [1100, 2000],
  // A row alone is longer than a piece.
  [2, 2_200_000],
  [1_100_000, 2],
])('a transposed matrix of %d × %d', async (rows, columns) => {
  const { values, longest } = await read([rows, columns], [1, rows]);
  expect(longest).toBeLessThanOrEqual(8 * 2 ** 20);
  expect(firstDifference(values, (i) => (i % columns) * rows + Math.floor(i / columns))).toBe(-1);
});

test('a convolution kernel stored channels last', async () => {
  const [out, channels, size] = [40, 50, 3];
  const { values } = await read([out, channels, size, size], [channels * size * size, 1, size * channels, channels], 7);
  const expected = (i: number) => {
    const [y, x] = [Math.floor(i / size) % size, i % size];
    const [o, c] = [Math.floor(i / (channels * size * size)), Math.floor(i / (size * size)) % channels];
    return 7 + o * channels * size * size + y * size * channels + x * channels + c;
  };
  expect(firstDifference(values, expected)).toBe(-1);
});

test('every other element, and one element repeated', async () => {
  expect((await read([4], [2], 5)).values).toEqual(Uint32Array.of(5, 7, 9, 11));
  expect((await read([2, 3], [0, 0], 5)).values).toEqual(Uint32Array.of(5, 5, 5, 5, 5, 5));
});
