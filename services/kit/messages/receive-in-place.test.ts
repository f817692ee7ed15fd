import { StreamDecoder } from '@grpc/grpc-js/build/src/stream-decoder.js';
import { expect, test } from '@jest/globals';
import { ModelInferResponse } from '../../../proto/gen/grpc_service.ts';
import { frame, joinParts } from './appended-parts.ts';
import { holdsOneMessage, receiveInPlace } from './receive-in-place.ts';

receiveInPlace();

const numbers = Float64Array.from({ length: 100_000 }, (_, index) => index / 3);
const response = (id: string) =>
  ModelInferResponse.fromPartial({ id, rawOutputContents: [new Uint8Array(numbers.buffer), Uint8Array.of(1)] });
const framed = (id: string) => joinParts(frame(new Uint8Array(ModelInferResponse.encode(response(id)).finish())));

function receive(bytes: Buffer, pieceBytes: number): Buffer[] {
  const decoder = new StreamDecoder(-1);
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  return pieces.flatMap((piece) => decoder.write(piece));
}

test.each([3, 16_384, 250_000, 10_000_000])('receives messages in pieces of %d bytes', (pieceBytes) => {
  const ids = ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg'];
  const messages = receive(
    Buffer.concat(ids.flatMap((id) => [framed(id), framed('').subarray(0, 5).fill(0)])),
    pieceBytes,
  );
  expect(messages).toHaveLength(2 * ids.length);
  for (const [index, id] of ids.entries()) {
    const message = messages[2 * index]!;
    expect(message.equals(framed(id))).toBe(true);
    expect(messages[2 * index + 1]).toEqual(Buffer.alloc(5));
    if (pieceBytes < framed(id).length) {
      const [contents] = ModelInferResponse.decode(message.subarray(5)).rawOutputContents;
      expect(new Float64Array(contents!.buffer, contents!.byteOffset, numbers.length)).toEqual(numbers);
      expect(holdsOneMessage(message.buffer)).toBe(true);
    }
  }
});

test('a message of which little has arrived takes no more memory than that', () => {
  const decoder = new StreamDecoder(-1);
  const size = 512 << 20;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(size, 1);
  const before = process.memoryUsage().arrayBuffers;
  decoder.write(head);
  decoder.write(Buffer.alloc(1 << 20));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
});
