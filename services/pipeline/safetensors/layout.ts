import { isUtf8 } from 'node:buffer';
import { isCount } from '../../kit/is-count.ts';
import { byteLength, bytesPerElement, type ElementType } from './element-types.ts';

/** A tensor as the header of a safetensors file describes it. */
export interface TensorEntry {
  dataType: ElementType;
  shape: readonly number[];
}

/** Location in the file. */
export interface PlacedTensor extends TensorEntry {
  /** Offset of the first element in the file, in bytes. */
  offset: number;
  /** Bytes. */
  length: number;
}

/** The header of a file with these tensors, whose data follow in this order. */
export function encodeHeader(tensors: ReadonlyMap<string, TensorEntry>): Uint8Array {
  let position = 0;
  const entries: Record<string, unknown> = {};
  for (const [name, { dataType, shape }] of tensors) {
    const end = position + byteLength(dataType, shape);
    entries[name] = { dtype: dataType, shape, data_offsets: [position, end] };
    position = end;
  }
  const text = Buffer.from(JSON.stringify(entries));
  // Padded with spaces so that float32 tensors are aligned.
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);
  return header;
}

/**
 * Parses a header's JSON. Throws a RangeError that says what is wrong: a duplicate name, non-text metadata, or tensors
 * that do not fill the file exactly, one right after the other.
 *
 * @param dataStart bytes from the start of the file to the first tensor
 * @param fileSize bytes
 */
export function parseHeader(header: Uint8Array, dataStart: number, fileSize: number): Map<string, PlacedTensor> {
  const tensors = new Map<string, PlacedTensor>();
  for (const [name, entry] of Object.entries(parseObject(header))) {
    if (name === '__metadata__') {
      checkMetadata(entry);
    } else {
      tensors.set(name, checkEntry(name, entry, dataStart, fileSize));
    }
  }
  rejectGaps(tensors, dataStart, fileSize);
  return tensors;
}

/** The metadata of a header that {@link parseHeader} accepts: texts by their names. */
export function metadataOf(header: Uint8Array): Readonly<Record<string, string>> {
  return (parseObject(header).__metadata__ ?? {}) as Record<string, string>;
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  if (!isUtf8(bytes)) {
    throw new RangeError('its header is not UTF-8');
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new RangeError('its header is not JSON', { cause });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new RangeError('its header is not a JSON object');
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) {
    throw new RangeError(`${repeated}: given twice`);
  }
  return header as Record<string, unknown>;
}

/** A duplicate key in valid JSON text, with its parent's key. `JSON.parse` silently keeps the last one. */
function repeatedKey(text: string): string | undefined {
  const open: { keys: Set<string>; last: string }[] = [];
  let begin: number | undefined;
  // A pattern for whole strings would run out of stack in long ones.
  for (const { 0: token, index } of text.matchAll(/\\.|["{}]/gs)) {
    if (token === '"' && begin === undefined) {
      begin = index;
    } else if (token === '"') {
      const inner = open.at(-1);
      const literal = text.slice(begin, index + 1);
      begin = undefined;
      colon.lastIndex = index + 1;
      if (inner && colon.test(text)) {
        inner.last = JSON.parse(literal) as string;
        if (inner.keys.has(inner.last)) {
          return open.map(({ last }) => last).join('.');
        }
        inner.keys.add(inner.last);
      }
    } else if (begin === undefined && token === '{') {
      open.push({ keys: new Set(), last: '' });
    } else if (begin === undefined && token === '}') {
      open.pop();
    }
  }
  return undefined;
}

const colon = /\s*:/y;

function checkMetadata(metadata: unknown): void {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new RangeError(`__metadata__: must be an object (got ${JSON.stringify(metadata).slice(0, 100)})`);
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new RangeError(`__metadata__.${key}: must be text (got ${JSON.stringify(value).slice(0, 100)})`);
    }
  }
}

function checkEntry(name: string, entry: unknown, dataStart: number, fileSize: number): PlacedTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string' || !Object.hasOwn(bytesPerElement, dtype)) {
    const known = Object.keys(bytesPerElement).join(', ');
    throw new RangeError(`${name}: element type must be one of ${known} (got ${JSON.stringify(dtype)})`);
  }
  const dataType = dtype as ElementType;
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw new RangeError(`${name}: shape must be a list of sizes (got ${JSON.stringify(shape)})`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new RangeError(`${name}: data_offsets must be [begin, end] (got ${JSON.stringify(offsets)})`);
  }
  const [begin, end] = offsets as [number, number];
  const length = byteLength(dataType, shape);
  if (end - begin !== length) {
    throw new RangeError(`${name}: ${end - begin} bytes given, ${dataType} [${shape}] takes ${length}`);
  }
  if (dataStart + end > fileSize) {
    throw new RangeError(`${name}: ends at byte ${dataStart + end} of a file of ${fileSize}: cut short`);
  }
  return { dataType, shape, offset: dataStart + begin, length };
}

/** The format forbids gaps and overlaps, which readers might interpret differently. */
function rejectGaps(tensors: ReadonlyMap<string, PlacedTensor>, dataStart: number, fileSize: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.length - b.length);
  let end = dataStart;
  let before: string | undefined;
  for (const [name, { offset, length }] of inOrder) {
    if (offset < end) {
      throw new RangeError(`${before} and ${name} overlap`);
    }
    if (offset > end) {
      const what =
        before === undefined
          ? `${offset - end} unused bytes precede it, the first tensor`
          : `there are ${offset - end} unused bytes between ${before} and it`;
      throw new RangeError(`${name}: ${what}`);
    }
    end = offset + length;
    before = name;
  }
  if (end < fileSize) {
    throw new RangeError(
      `${fileSize - end} bytes follow ${before === undefined ? 'its header' : `its last tensor, ${before}`}`,
    );
  }
}
