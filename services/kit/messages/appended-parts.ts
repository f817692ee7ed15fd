/** Parts of messages that follow a buffer on the wire without being copied behind it, by the buffer's memory. */
const appended = new WeakMap<ArrayBufferLike, readonly Uint8Array[]>();

const frameBytes = 5;

/** Appends parts to a buffer that is alone in its memory. The parts must not change until they are sent. */
export function appendParts(head: Uint8Array, parts: readonly Uint8Array[]): void {
  // Node's HTTP/2 never ends a stream to which a buffer without bytes was written.
  appended.set(
    head.buffer,
    parts.filter((part) => part.byteLength > 0),
  );
}

/** The parts after a buffer. */
export function partsAfter(head: Uint8Array): readonly Uint8Array[] {
  return appended.get(head.buffer) ?? [];
}

/** Bytes of a buffer and the parts after it. */
export function byteLengthOf(head: Uint8Array): number {
  return partsAfter(head).reduce((sum, part) => sum + part.byteLength, head.byteLength);
}

/** A message in the frame of gRPC, uncompressed; the parts after it now follow the frame. */
export function frame(message: Uint8Array): Buffer {
  const parts = partsAfter(message);
  const size = frameBytes + message.byteLength;
  const framed = parts.length > 0 ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(byteLengthOf(message), 1);
  framed.set(message, frameBytes);
  if (parts.length > 0) {
    appendParts(framed, parts);
  }
  return framed;
}

/** A copy in one piece. */
export function joinParts(head: Uint8Array): Buffer {
  return Buffer.concat([head, ...partsAfter(head)]);
}
