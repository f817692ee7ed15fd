import sharp from 'sharp';
import { writeWhole } from '../../services/kit/write-whole.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

/** Lossy, but good enough for small pictures with hard edges. */
const quality = 90;

/**
 * Writes an endlessly looping animated WebP. The library accepts an animation only as one picture of all frames, so the
 * whole decoded video is in memory: frames × width × height × 3 bytes.
 */
export function openWebpSink(path: string, { width, height, playbackRate, frames }: FrameFormat): FrameSink {
  const frameBytes = width * height * 3;
  let stacked = new Uint8Array(frames * frameBytes);
  let count = 0;
  return {
    async write(frame) {
      stacked.set(frame, count * frameBytes);
      count++;
    },
    async finish() {
      const image = sharp(stacked, {
        raw: { width, height: height * frames, channels: 3, pageHeight: height },
        limitInputPixels: false,
      }).webp({ quality, smartSubsample: true, loop: 0, delay: delays(frames, playbackRate) });
      await writeWhole(path, (partial) => image.toFile(partial));
    },
    async abort() {
      stacked = new Uint8Array();
    },
  };
}

/** How long each frame is shown, in whole milliseconds; rounding errors do not accumulate. */
function delays(frames: number, playbackRate: number): number[] {
  const startOf = (index: number) => Math.round((index * 1000) / playbackRate);
  return Array.from({ length: frames }, (_, index) => startOf(index + 1) - startOf(index));
}
