import { bufferOf, keepSpare } from '../../services/kit/spare-buffers.ts';

/** Bytes of an empty canvas for many frames. Give them back when nothing uses them any more. */
export function takeCanvas(byteSize: number): Uint8Array<ArrayBuffer> {
  return bufferOf(byteSize).fill(0);
}

/** Keeps a canvas's memory for the next video's: left to V8, those of several videos would be in memory. */
export function giveBackCanvas(canvas: Uint8Array<ArrayBuffer>): void {
  keepSpare(canvas.buffer);
}
