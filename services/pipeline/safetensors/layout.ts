import { byteLength, bytesPerElement, type ElementType } from './element-types.ts';

/** A tensor as the header of a safetensors file describes it. */
export interface TensorEntry {
  dataType: ElementType;
  shape: readonly number[];
}

/** Where in the file it lies. */
export interface PlacedTensor extends TensorEntry {
  /** Of the first element, bytes from the start of the file. */
  offset: number;
  /** Bytes. */
  length: number;
}

/** What stands before the data of these tensors, which follow one another in this order. */
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
 * Reads a header's JSON. Throws a RangeError that says what is wrong when it is not of this format, or when tensors
 * overlap or leave the file.
 *
 * @param dataStart bytes from the start of the file to the first tensor
 * @param fileSize bytes
 */
export function parseHeader(text: string, dataStart: number, fileSize: number): Map<string, PlacedTensor> {
  const tensors = new Map<string, PlacedTensor>();
  for (const [name, entry] of Object.entries(parseObject(text))) {
    if (name !== '__metadata__') {
      tensors.set(name, checkEntry(name, entry, dataStart, fileSize));
    }
  }
  rejectOverlaps(tensors);
  return tensors;
}

function parseObject(text: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new RangeError(`its header is no JSON: ${(error as Error).message}`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new RangeError('its header is no JSON object');
  }
  return header as Record<string, unknown>;
}

function checkEntry(name: string, entry: unknown, dataStart: number, fileSize: number): PlacedTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
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

function rejectOverlaps(tensors: ReadonlyMap<string, PlacedTensor>): void {
  const inOrder = [...tensors].filter(([, { length }]) => length > 0).sort(([, a], [, b]) => a.offset - b.offset);
  for (let i = 1; i < inOrder.length; i++) {
    const [[before, first], [after, second]] = [inOrder[i - 1]!, inOrder[i]!];
    if (first.offset + first.length > second.offset) {
      throw new RangeError(`${before} and ${after} overlap`);
    }
  }
}
