import sharp from 'sharp';
import { writeWhole } from '../../services/kit/write-whole.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

/** Longest side in pixels; smaller pictures keep their size. */
const longestSide = 320;

/** Writes the middle frame, scaled down, as WebP. */
export function openThumbnailSink(path: string, { width, height, frames }: FrameFormat): FrameSink {
  const middle = Math.floor(frames / 2);
  let index = 0;
  let chosen = new Uint8Array();
  return {
    async write(frame) {
      if (index === middle) {
        chosen = frame.slice();
      }
      index++;
    },
    async finish() {
      const picture = sharp(chosen, { raw: { width, height, channels: 3 } })
        .resize({ width: longestSide, height: longestSide, fit: 'inside', withoutEnlargement: true })
        .webp();
      await writeWhole(path, (partial) => picture.toFile(partial));
    },
    async abort() {},
  };
}
