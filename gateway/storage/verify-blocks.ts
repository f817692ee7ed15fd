import { createHash } from 'node:crypto';
import { type ByteRange, blockBytes, type StoredObject } from './object-store.ts';

/** Hashes of all blocks of an object; `undefined` if they were not recorded when it was stored. */
export function blockHashes({ bytes, sha256, blocks }: StoredObject): readonly string[] | undefined {
  const hashes = blocks ?? [sha256];
  return hashes.length === Math.max(1, Math.ceil(bytes / blockBytes)) ? hashes : undefined;
}

/** The smallest range of whole blocks around a range; the last block of an object may be shorter. */
export function wholeBlocks({ start, end }: ByteRange, bytes: number): ByteRange {
  const afterLast = (Math.floor(end / blockBytes) + 1) * blockBytes;
  return { start: start - (start % blockBytes), end: Math.min(afterLast, bytes) - 1 };
}

/**
 * Yields a range of an object, each block only once its hash has been verified.
 *
 * @param source the range's {@link wholeBlocks}
 * @param hashes of all blocks
 * @param damaged makes the error for a fault, worded to follow "the object"
 */
export async function* verifyBlocks(
  source: AsyncIterable<Uint8Array>,
  { bytes }: StoredObject,
  hashes: readonly string[],
  range: ByteRange,
  damaged: (how: string) => Error,
): AsyncGenerator<Uint8Array> {
  const { start, end } = wholeBlocks(range, bytes);
  let blockStart = start;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of source) {
    for (let rest = chunk; rest.length > 0; ) {
      if (blockStart > end) {
        throw damaged(`gives more than ${end - start + 1} bytes`);
      }
      const length = Math.min(blockBytes, bytes - blockStart);
      const piece = rest.subarray(0, length - heldBytes);
      held.push(piece);
      heldBytes += piece.length;
      rest = rest.subarray(piece.length);
      if (heldBytes === length) {
        const block = Buffer.concat(held);
        if (createHash('sha256').update(block).digest('hex') !== hashes[blockStart / blockBytes]) {
          throw damaged(`does not match its stored SHA-256 in the ${length} bytes from ${blockStart} on`);
        }
        yield block.subarray(Math.max(0, range.start - blockStart), range.end + 1 - blockStart);
        blockStart += length;
        held = [];
        heldBytes = 0;
      }
    }
  }
  if (blockStart <= end) {
    throw damaged(`ends after ${blockStart + heldBytes} of ${end + 1} bytes`);
  }
}
