import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { writeWhole } from '../../services/kit/write-whole.ts';
import { frameFileName } from './frame-file-name.ts';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

/** Writes each frame as a PNG into `folder`, which it creates. */
export async function openPngFramesSink(folder: string, { width, height }: FrameFormat): Promise<FrameSink> {
  await mkdir(folder, { recursive: true });
  let index = 0;
  return {
    async write(frame) {
      const picture = sharp(frame, { raw: { width, height, channels: 3 } }).png();
      await writeWhole(join(folder, frameFileName(index)), (partial) => picture.toFile(partial));
      index++;
    },
    async finish() {},
    async abort() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}
