import sharp from 'sharp';
import type { FrameFormat, FrameSink } from './frame-sink.ts';

export interface FrameSample {
  /** From 0. */
  index: number;
  mediaType: string;
  data: Uint8Array;
}

/** Keeps evenly spaced frames of a video as pictures, in memory. */
export class FrameSamples implements FrameSink {
  readonly format: FrameFormat;
  readonly #as: 'jpeg' | 'png';
  readonly #wanted: ReadonlySet<number>;
  readonly #samples: FrameSample[] = [];
  #index = 0;

  /** @param count how many; fewer if the video has fewer frames */
  constructor(format: FrameFormat, count: number, as: 'jpeg' | 'png') {
    const samples = Math.min(count, format.frames);
    // The middle of each of `count` equal parts.
    const middles = Array.from({ length: samples }, (_, part) => Math.floor(((part + 0.5) * format.frames) / samples));
    this.format = format;
    this.#as = as;
    this.#wanted = new Set(middles);
  }

  /** In order; complete once every frame is written. */
  get samples(): readonly FrameSample[] {
    return this.#samples;
  }

  async write(frame: Uint8Array): Promise<void> {
    const index = this.#index++;
    if (this.#wanted.has(index)) {
      const { width, height } = this.format;
      const picture = sharp(frame, { raw: { width, height, channels: 3 } });
      const data = await (this.#as === 'png' ? picture.png() : picture.jpeg({ quality: 90 })).toBuffer();
      this.#samples.push({ index, mediaType: `image/${this.#as}`, data });
    }
  }

  async finish(): Promise<void> {}

  async abort(): Promise<void> {}
}
