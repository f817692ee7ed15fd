import { bytesPerElement } from '../../services/pipeline/safetensors/element-types.ts';
import type { StoredTensor } from './checkpoint.ts';
import { type CheckpointFile, withCheckpointFile } from './checkpoint-file.ts';

/** Maximum number of bytes read or yielded at a time. */
export const pieceLength = 8 * 2 ** 20;

/**
 * Yields a tensor's elements in row-major order, little-endian, in chunks of at most 8 MiB, whatever its strides. A
 * chunk is valid until the next one is requested. Throws FAILED_PRECONDITION if the file has become shorter.
 *
 * @param room `pieceLength` bytes to read into, for callers that read many tensors: a new buffer takes longer to allocate
 *   than to fill
 */
export async function* tensorBytes(stored: StoredTensor, room?: Buffer<ArrayBuffer>): AsyncGenerator<Uint8Array> {
  let target = room;
  // A generator cannot yield from inside the callback that keeps the file open, so each chunk reopens it.
  for (const piece of piecesOf(stored)) {
    yield await withCheckpointFile(stored.file, 'checkpoint file', (file) => {
      if (piece.strides !== undefined) {
        return gather(file, piece, piece.strides);
      }
      // The first chunk is the longest.
      target ??= Buffer.alloc(piece.length);
      return file.read(piece.offset, piece.length, target);
    });
  }
}

/** Consecutive parts of a tensor, of at most `pieceLength` bytes each. */
function* piecesOf(stored: StoredTensor): Generator<StoredTensor> {
  const { dataType, shape, offset, length, strides } = stored;
  if (length <= pieceLength) {
    yield stored;
    return;
  }
  const size = bytesPerElement[dataType];
  if (strides === undefined) {
    for (let at = 0; at < length; at += pieceLength) {
      const bytes = Math.min(pieceLength, length - at);
      yield { ...stored, shape: [bytes / size], offset: offset + at, length: bytes };
    }
    return;
  }
  const rowLength = length / shape[0]!;
  const rows = Math.max(1, Math.floor(pieceLength / rowLength));
  for (let row = 0; row < shape[0]!; row += rows) {
    const count = Math.min(rows, shape[0]! - row);
    const part = { ...stored, offset: offset + row * strides[0]! * size, length: count * rowLength };
    if (rowLength <= pieceLength) {
      yield { ...part, shape: [count, ...shape.slice(1)] };
    } else {
      yield* piecesOf({ ...part, shape: shape.slice(1), strides: strides.slice(1) });
    }
  }
}

interface Axis {
  count: number;
  /** Strides in the file, in elements. */
  from: number;
  /** Strides in row-major order, in elements. */
  to: number;
}

type Elements = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

/** Copies a strided tensor's elements into row-major order. */
async function gather(file: CheckpointFile, stored: StoredTensor, strides: readonly number[]): Promise<Uint8Array> {
  const size = bytesPerElement[stored.dataType];
  const result = Buffer.alloc(stored.length);
  let rowLength = 1;
  const axes: Axis[] = [];
  for (let axis = stored.shape.length - 1; axis >= 0; axis--) {
    const count = stored.shape[axis]!;
    axes.push({ count, from: strides[axis]!, to: rowLength });
    rowLength *= count;
  }
  // The smallest stride goes last, so that each read covers a compact range.
  axes.sort((a, b) => b.from - a.from);
  const target = elementsOf(result, size);
  const visit = async (position: number, rest: readonly Axis[], to: number): Promise<void> => {
    const extent = extentOf(rest) * size;
    if (extent <= pieceLength) {
      scatter(elementsOf(await file.read(position, extent), size), 0, rest, target, to);
      return;
    }
    const [outer, ...inner] = rest as readonly [Axis, ...Axis[]];
    const atOnce = 1 + Math.max(0, Math.floor((pieceLength / size - extentOf(inner)) / outer.from));
    for (let i = 0; i < outer.count; i += atOnce) {
      const part = { ...outer, count: Math.min(atOnce, outer.count - i) };
      await visit(position + i * outer.from * size, part.count === 1 ? inner : [part, ...inner], to + i * outer.to);
    }
  };
  await visit(stored.offset, axes, 0);
  return result;
}

/** Number of elements from the first to the last, inclusive. */
function extentOf(axes: readonly Axis[]): number {
  return axes.reduce((extent, axis) => extent + (axis.count - 1) * axis.from, 1);
}

function scatter(source: Elements, from: number, axes: readonly Axis[], target: Elements, to: number): void {
  const [outer, ...inner] = axes;
  if (outer === undefined) {
    target[to] = source[from]!;
  } else if (inner.length === 0) {
    for (let i = 0; i < outer.count; i++) {
      target[to + i * outer.to] = source[from + i * outer.from]!;
    }
  } else {
    for (let i = 0; i < outer.count; i++) {
      scatter(source, from + i * outer.from, inner, target, to + i * outer.to);
    }
  }
}

function elementsOf({ buffer, byteOffset, byteLength }: Buffer<ArrayBuffer>, size: number): Elements {
  const View = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[size]!;
  return new View(buffer, byteOffset, byteLength / size);
}
