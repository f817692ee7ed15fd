import { MessageChannel } from 'node:worker_threads';

/** Smaller buffers cost little to allocate. */
const minBytes = 256 << 10;
const maxBytes = 256 << 20;
/** A process without requests does not hold memory for long. */
const maxIdleSeconds = 10;

/** Buffers that are not in use, the one kept last at the end, each with the timer that frees it. */
const spares = new Map<ArrayBuffer, NodeJS.Timeout>();

/** Whatever is sent through it is dropped. */
const { port1: nowhere } = new MessageChannel();
nowhere.close();

/** Whether a buffer of this size is worth keeping. */
export function isWorthKeeping(byteSize: number): boolean {
  return byteSize >= minBytes && byteSize <= maxBytes;
}

/**
 * A buffer of this size, of any content. A kept one if there is one: the system gives fresh memory page by page, which takes
 * longer than to copy a tensor into it, and V8 marks its whole heap when so much of it has been allocated.
 */
export function bufferOf(byteSize: number): Uint8Array<ArrayBuffer> {
  const spare = isWorthKeeping(byteSize)
    ? [...spares.keys()].findLast((buffer) => buffer.byteLength === byteSize)
    : undefined;
  if (spare === undefined) {
    return Buffer.allocUnsafeSlow(byteSize);
  }
  remove(spare);
  return new Uint8Array(spare);
}

/**
 * Keeps a buffer that nothing uses any more for {@link bufferOf}, if it is worth keeping. It is not emptied, because V8 would count
 * its memory as new and mark the heap.
 */
export function keepSpare(buffer: ArrayBuffer): void {
  if (!isWorthKeeping(buffer.byteLength)) {
    return;
  }
  clearTimeout(spares.get(buffer));
  spares.set(buffer, setTimeout(() => drop(buffer), maxIdleSeconds * 1000).unref());
  let kept = 0;
  for (const spare of [...spares.keys()].reverse()) {
    kept += spare.byteLength;
    if (kept > maxBytes) {
      drop(spare);
    }
  }
}

/**
 * Frees the memory of a buffer now; the buffer and all arrays on it become empty. Left to V8, it is freed when the heap is next
 * marked, and leads to that sooner.
 */
export function freeBuffer(buffer: ArrayBuffer): void {
  nowhere.postMessage(undefined, [buffer]);
}

function drop(buffer: ArrayBuffer): void {
  remove(buffer);
  freeBuffer(buffer);
}

function remove(buffer: ArrayBuffer): void {
  clearTimeout(spares.get(buffer));
  spares.delete(buffer);
}
