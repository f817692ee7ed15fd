import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { DataType, type TensorChunk } from '../../proto/gen/fusionframes/v1/tensor.ts';
import { type Tensor, tensor, tensorBytes } from './tensor.ts';
import { chunkBytes, fromWireTensor, TensorAssembler, toChunks, toWireTensor } from './tensor-chunks.ts';

const limits = { field: 'latents', dataType: 'float32', rank: 2, maxBytes: 8 * chunkBytes } as const;

function assemble(chunks: Iterable<TensorChunk>): Tensor {
  const assembler = new TensorAssembler(limits);
  for (const chunk of chunks) {
    assembler.add(chunk);
  }
  return assembler.finish();
}

function ramp(rows: number, columns: number): Tensor<'float32'> {
  return tensor(
    'float32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, (_, i) => i),
  );
}

test.each([
  [1, 1],
  [3, 5],
  [700, 1000],
])('a tensor [%i, %i] comes out of its chunks as it went in', (rows, columns) => {
  const value = ramp(rows, columns);
  const chunks = [...toChunks(value)];
  expect(chunks.every(({ data }) => data.length <= chunkBytes)).toBe(true);
  expect(chunks.filter(({ header }) => header)).toHaveLength(1);
  const received = assemble(chunks);
  expect(received.shape).toEqual([rows, columns]);
  expect(Buffer.compare(tensorBytes(received), tensorBytes(value))).toBe(0);
});

test('a small tensor survives as a message field, even from unaligned bytes', () => {
  const wire = toWireTensor(ramp(2, 3));
  const shifted = new Uint8Array(wire.data.length + 1);
  shifted.set(wire.data, 1);
  const received = fromWireTensor('context', { ...wire, data: shifted.subarray(1) }, 'float32', 2);
  expect([...received.data]).toEqual([0, 1, 2, 3, 4, 5]);
});

const header = (shape: bigint[], dataType: DataType = DataType.DATA_TYPE_FLOAT32) => ({ shape, dataType });
const none = new Uint8Array();

test.each<[string, TensorChunk[], RegExp]>([
  ['nothing', [], /`latents` must be .* \(got nothing\)/],
  ['no header', [{ header: undefined, data: none }], /first piece without a header/],
  [
    'another type',
    [{ header: header([1n, 1n], DataType.DATA_TYPE_BOOL), data: none }],
    /float32 of rank 2.*bool \[1,1\]/,
  ],
  ['another rank', [{ header: header([1n]), data: none }], /float32 \[1\]/],
  ['a dimension of zero', [{ header: header([0n, 4n]), data: none }], /every dimension at least 1/],
  ['a negative dimension', [{ header: header([-1n, -4n]), data: none }], /every dimension at least 1/],
  ['too large', [{ header: header([1n << 40n, 1n << 40n]), data: none }], /at most 8388608 bytes/],
  ['too many bytes', [{ header: header([1n, 1n]), data: new Uint8Array(5) }], /more than 4 bytes/],
  ['too few bytes', [{ header: header([1n, 1n]), data: new Uint8Array(3) }], /ended after 3 of 4 bytes/],
])('%s is refused, naming the field', (_, chunks, message) => {
  let thrown: unknown;
  try {
    assemble(chunks);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: Status.INVALID_ARGUMENT, field: 'latents' });
  expect((thrown as Error).message).toMatch(message);
});
