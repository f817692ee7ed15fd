/** Smaller buffers cost little to allocate. */
const minBytes = 256 << 10;
const maxBytes = 256 << 20;
/** A server without requests does not hold memory for long. */
const maxIdleSeconds = 10;

/** Buffers that are not in use, the one kept last at the end, each with the timer that drops it. */
const spares = new Map<ArrayBuffer, NodeJS.Timeout>();

/** Whether a buffer of this size is worth keeping. */
export function isWorthKeeping(byteSize: number): boolean {
  return byteSize >= minBytes && byteSize <= maxBytes;
}

/**
 * A buffer of this size, of any content. A kept one if there is one: the system gives fresh memory page by page, which takes
 * longer than to copy a tensor into it, and V8 marks its whole heap for every 64 MiB.
 */
export function bufferOf(byteSize: number): Uint8Array<ArrayBuffer> {
  const spare = [...spares.keys()].findLast((buffer) => buffer.byteLength === byteSize);
  if (spare === undefined) {
    return Buffer.allocUnsafeSlow(byteSize);
  }
  drop(spare);
  return new Uint8Array(spare);
}

/** Keeps a buffer that nothing uses any more for {@link bufferOf}. */
export function keepSpare(buffer: ArrayBuffer): void {
  spares.set(buffer, setTimeout(() => drop(buffer), maxIdleSeconds * 1000).unref());
  let kept = 0;
  for (const spare of [...spares.keys()].reverse()) {
    kept += spare.byteLength;
    if (kept > maxBytes) {
      drop(spare);
    }
  }
}

function drop(buffer: ArrayBuffer): void {
  clearTimeout(spares.get(buffer));
  spares.delete(buffer);
}
