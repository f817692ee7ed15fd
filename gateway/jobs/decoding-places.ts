import { HeldBytes } from '../../services/kit/limits/held-bytes.ts';
import { Places } from '../database/places.ts';

/** Users' files that are decoded at once, by all requests: each may take a gigabyte. */
const decoding = new Places(2);

/** Bounds the files that wait for that. */
const waiting = new HeldBytes(128 << 20);

/** How long a request waits for its turn, seconds. */
const turnSeconds = 20;

/**
 * Decodes files of a request in its turn. Throws RESOURCE_EXHAUSTED if too many others decode files, and the signal's reason.
 */
export async function inTurn<T>(files: readonly Uint8Array[], work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const release = waiting.take(files.reduce((sum, { length }) => sum + length, 0));
  try {
    const message = 'Too many pictures are being decoded; try again later';
    const leave = await decoding.enterWithin(turnSeconds, message, signal);
    return await work().finally(leave);
  } finally {
    release();
  }
}
