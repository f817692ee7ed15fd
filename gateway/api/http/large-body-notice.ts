import { Transform, type TransformCallback } from 'node:stream';

/** Passes on a body of unknown length; calls `onLarge` when it becomes larger than `bytes`. */
export class LargeBodyNotice extends Transform {
  /** Fastify compares it with its limit. */
  receivedEncodedLength = 0;
  readonly #bytes: number;
  readonly #onLarge: () => void;

  constructor(bytes: number, onLarge: () => void) {
    super();
    this.#bytes = bytes;
    this.#onLarge = onLarge;
  }

  override _transform(chunk: Uint8Array, _encoding: string, done: TransformCallback): void {
    const before = this.receivedEncodedLength;
    this.receivedEncodedLength += chunk.length;
    try {
      if (before <= this.#bytes && this.receivedEncodedLength > this.#bytes) {
        this.#onLarge();
      }
      done(null, chunk);
    } catch (error) {
      done(error as Error);
    }
  }
}
