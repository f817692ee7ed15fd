import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { StreamDecoder } from '@grpc/grpc-js/build/src/stream-decoder.js';
import { bufferOf } from '../spare-buffers.ts';

/** The parts of a grpc-js decoder used here; private in its types. */
interface Decoder {
  readState: number;
  readCompressFlag: Buffer;
  readPartialSize: Buffer;
  readMessageSize: number;
  readPartialMessage: Buffer[];
  readMessageRemaining: number;
  write(data: Buffer): Buffer[];
}

/** A message that is arriving, with its frame. */
interface Arriving {
  framed: Buffer;
  filled: number;
}

const idle = 0;
const readingMessage = 2;
/** Smaller messages are collected as grpc-js does it. */
const minBytes = 256 << 10;
/** Share of a message that must have arrived before memory is taken for all of it: its size is only what the sender says. */
const trustedShare = 1 / 16;
/** Longest beginning of a message in which its first large field is looked for. */
const maxHeadBytes = 4096;
/** Size of the largest element of a tensor. */
const alignment = 8;
/** Memory is taken in multiples of this, so that messages of about the same size can take it in turn. */
const granularity = 64 << 10;

const soleMessages = new WeakSet<ArrayBufferLike>();
let isInstalled = false;

/** Whether memory holds a single received message and nothing else. */
export function holdsOneMessage(memory: ArrayBufferLike): boolean {
  return soleMessages.has(memory);
}

/**
 * Makes grpc-js put large messages, as they arrive, into memory of their own, such that their first large field is aligned
 * for elements of any type. By itself it keeps the pieces and copies them together at the end, which needs twice the
 * memory, and the field then starts at any byte.
 */
export function receiveInPlace(): void {
  if (isInstalled) {
    return;
  }
  isInstalled = true;
  const prototype = StreamDecoder.prototype as unknown as Decoder;
  const { write } = prototype;
  const arrivals = new WeakMap<Decoder, Arriving>();
  prototype.write = function (data) {
    const arriving = arrivals.get(this);
    if (!arriving) {
      const messages = write.call(this, data);
      const begun = begin(this);
      if (begun) {
        arrivals.set(this, begun);
      }
      return messages;
    }
    const { framed, filled } = arriving;
    const piece = data.subarray(0, framed.length - filled);
    framed.set(piece, filled);
    arriving.filled += piece.length;
    if (arriving.filled < framed.length) {
      return [];
    }
    arrivals.delete(this);
    this.readState = idle;
    return [framed, ...this.write(data.subarray(piece.length))];
  };
}

/** Takes over a large message of which enough has arrived. */
function begin(decoder: Decoder): Arriving | undefined {
  const { readState, readMessageSize: size, readMessageRemaining: remaining } = decoder;
  const arrived = size - remaining;
  if (readState !== readingMessage || size < minBytes || arrived < size * trustedShare) {
    return undefined;
  }
  const pieces = [decoder.readCompressFlag, decoder.readPartialSize, ...decoder.readPartialMessage];
  decoder.readPartialMessage = [];
  const frameBytes = pieces[0]!.length + pieces[1]!.length;
  const field = largeFieldOf(Buffer.concat(pieces.slice(2), Math.min(arrived, maxHeadBytes)));
  const offset = (alignment - ((frameBytes + field) % alignment)) % alignment;
  const end = offset + frameBytes + size;
  const { buffer } = bufferOf(Math.ceil(end / granularity) * granularity);
  soleMessages.add(buffer);
  const framed = Buffer.from(buffer, offset, end - offset);
  let filled = 0;
  for (const piece of pieces) {
    framed.set(piece, filled);
    filled += piece.length;
  }
  return { framed, filled };
}

/** Where the contents of a message's first large field start, from its beginning; 0 where none is found. */
function largeFieldOf(head: Uint8Array): number {
  const reader = new BinaryReader(head);
  try {
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag();
      if (type !== WireType.LengthDelimited) {
        reader.skip(type, number);
        continue;
      }
      const length = reader.uint32();
      if (length >= head.length) {
        return reader.pos;
      }
      reader.pos += length;
    }
  } catch {
    // The head ends within a field, or the message is invalid, which its decoder will say.
  }
  return 0;
}
