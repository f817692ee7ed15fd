import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { readSafetensors, readTensorBytes } from './safetensors.ts';
import { writeSafetensors } from './safetensors-writer.ts';

const folder = temporaryFolder(scopeOfAllTests());

async function fileOf(header: unknown, dataLength: number): Promise<string> {
  const text = Buffer.isBuffer(header)
    ? header
    : Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = Buffer.alloc(8 + text.length + dataLength);
  bytes.writeBigUInt64LE(BigInt(text.length));
  text.copy(bytes, 8);
  const path = join(folder, `${Math.random()}.safetensors`);
  await writeFile(path, bytes);
  return path;
}

test('written tensors are read back', async () => {
  const path = join(folder, 'round-trip.safetensors');
  const tensors = new Map([
    ['a.weight', { dataType: 'F32', shape: [2, 3] }],
    ['b', { dataType: 'BF16', shape: [3] }],
    ['empty', { dataType: 'F32', shape: [0, 4] }],
    ['scalar', { dataType: 'I64', shape: [] }],
  ] as const);
  const bytes = new Map([
    ['a.weight', new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)],
    ['b', Uint8Array.of(1, 2, 3, 4, 5, 6)],
    ['empty', new Uint8Array()],
    ['scalar', new Uint8Array(BigInt64Array.of(7n).buffer)],
  ]);
  await writeSafetensors(path, tensors, (name) => bytes.get(name)!);
  const read = await readSafetensors(path);
  expect([...read.tensors].map(([name, { dataType, shape }]) => [name, { dataType, shape }])).toEqual([...tensors]);
  for (const [name, expected] of bytes) {
    expect(await readTensorBytes(read, name)).toEqual(expected);
  }
  expect(read.tensors.get('a.weight')!.offset % 8).toBe(0);
});

test('metadata are ignored', async () => {
  const path = await fileOf({ __metadata__: { format: 'pt', author: 'Jörg' } }, 0);
  expect((await readSafetensors(path)).tensors.size).toBe(0);
});

test('metadata full of escapes, as trainers write them', async () => {
  const path = await fileOf({ __metadata__: { tags: '"'.repeat(5_000_000) } }, 0);
  expect((await readSafetensors(path)).tensors.size).toBe(0);
});

test('a fault that quotes a name or shape of any length is cut', async () => {
  const path = await fileOf({ a: { dtype: 'F32', shape: Array(100_000).fill(2), data_offsets: [0, 4] } }, 4);
  await expect(readSafetensors(path)).rejects.toThrow(/a: 4 bytes given, F32 \[2,2,.{900,1000}…$/);
});

describe('invalid files are rejected, naming file and fault', () => {
  const entry = (begin: number, end: number) => ({
    dtype: 'F32',
    shape: [(end - begin) / 4],
    data_offsets: [begin, end],
  });

  test.each<[string, unknown, number, string]>([
    ['tensor beyond the end', { a: entry(0, 16) }, 8, 'a: ends at byte'],
    ['overlapping tensors', { a: entry(0, 16), b: entry(12, 20) }, 20, 'a and b overlap'],
    ['a hole', { a: entry(0, 16), b: entry(20, 24) }, 24, 'b: there are 4 unused bytes between a and it'],
    ['a late start', { b: entry(8, 12), a: entry(4, 8) }, 12, 'a: 4 unused bytes precede it, the first tensor'],
    ['bytes after the end', { b: entry(8, 12), a: entry(0, 8) }, 15, '3 bytes follow its last tensor, b'],
    ['bytes and no tensor', {}, 2, '2 bytes follow its header'],
    ['an empty tensor inside another', { a: entry(0, 8), b: entry(4, 4) }, 8, 'a and b overlap'],
    [
      'a name given twice',
      `{"a":${JSON.stringify(entry(0, 4))},"\\u0061":${JSON.stringify(entry(4, 8))}}`,
      8,
      'a: given twice',
    ],
    [
      'a shape given twice',
      '{"a":{"shape":[1],"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      'a.shape: given twice',
    ],
    ['unknown type', { a: { ...entry(0, 4), dtype: 'F8_E4M3' } }, 4, 'a: element type must be one of BOOL'],
    [
      'type named like a method',
      { a: { ...entry(0, 4), dtype: 'toString' } },
      4,
      'a: element type must be one of BOOL',
    ],
    ['length that is not the shape', { a: { ...entry(0, 8), shape: [3] } }, 8, 'a: 8 bytes given, F32 [3] takes 12'],
    ['negative size', { a: { ...entry(0, 4), shape: [-1] } }, 4, 'a: shape must be a list of sizes (got [-1])'],
    ['no offsets', { a: { dtype: 'F32', shape: [1] } }, 4, 'a: data_offsets must be [begin, end] (got undefined)'],
    ['no entry', { a: null }, 0, 'a: element type must be one of BOOL'],
    ['header that is not JSON', '{"a":', 0, 'its header is not JSON'],
    ['metadata that is a number', { __metadata__: 5 }, 0, '__metadata__: must be an object (got 5)'],
    ['metadata that is a list', { __metadata__: ['x'] }, 0, '__metadata__: must be an object (got ["x"])'],
    ['a number among the metadata', { __metadata__: { y: 'a', x: 1 } }, 0, '__metadata__.x: must be text (got 1)'],
    [
      'header that is not UTF-8',
      Buffer.from('{"__metadata__":{"author":"J\xf6rg"}}', 'latin1'),
      0,
      'its header is not UTF-8',
    ],
    ['header that is a list', '[]', 0, 'its header is not a JSON object'],
  ])('%s', async (_, header, dataLength, message) => {
    const path = await fileOf(header, dataLength);
    await expect(readSafetensors(path)).rejects.toThrow(`${path} is not a valid safetensors file: ${message}`);
  });

  test('a header longer than the file', async () => {
    const path = join(folder, 'long-header.safetensors');
    await writeFile(path, Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1]));
    await expect(readSafetensors(path)).rejects.toThrow('it announces a header of 16777215 bytes in a file of 9');
  });

  test.each([
    ['duplicate', 'w: given twice'],
    ['trailing', '8 bytes follow its last tensor, w'],
  ])('a file that was met: %s.safetensors', async (name, fault) => {
    const path = join(packageRoot, 'test', 'fixtures', 'checkpoints', `${name}.safetensors`);
    await expect(readSafetensors(path)).rejects.toThrow(`${path} is not a valid safetensors file: ${fault}`);
  });

  test('a truncated header', async () => {
    const path = join(folder, 'short.safetensors');
    await writeFile(path, 'abc');
    await expect(readSafetensors(path)).rejects.toThrow('it ends after 3 bytes: cut short');
  });

  test('a missing file', async () => {
    await expect(readSafetensors(join(folder, 'none'))).rejects.toThrow(/file .*none not found/);
  });

  test('a tensor truncated after the header was read', async () => {
    const path = await fileOf({ a: entry(0, 16) }, 16);
    const file = await readSafetensors(path);
    await writeFile(path, (await readFile(path)).subarray(0, -4));
    await expect(readTensorBytes(file, 'a')).rejects.toThrow('cut short');
  });
});
