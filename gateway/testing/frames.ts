import type { FrameFormat } from '../media/frame-sink.ts';

/** Frames of a red disc moving over a gradient, uint8 [height, width, 3]: edges, colour and smooth areas. */
export async function* discFrames({ width, height, frames }: Omit<FrameFormat, 'playbackRate'>) {
  for (let index = 0; index < frames; index++) {
    yield discFrame(index / frames, width, height);
  }
}

type Picture = Uint8Array | Float32Array;

/** Peak signal-to-noise ratio between two lists of 8-bit pictures of the same size, decibels. */
export function peakSignalToNoise(left: readonly Picture[], right: readonly Picture[]): number {
  let squares = 0;
  let count = 0;
  left.forEach((picture, index) => {
    picture.forEach((value, position) => {
      squares += (value - right[index]![position]!) ** 2;
    });
    count += picture.length;
  });
  return 10 * Math.log10((255 * 255 * count) / squares);
}

/** Luma (BT.601, 0 to 255) of an RGB picture, which a video keeps at full resolution, unlike chroma. */
export function luma(picture: Uint8Array): Float32Array {
  return Float32Array.from(
    { length: picture.length / 3 },
    (_, pixel) => 0.299 * picture[3 * pixel]! + 0.587 * picture[3 * pixel + 1]! + 0.114 * picture[3 * pixel + 2]!,
  );
}

function discFrame(time: number, width: number, height: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  const radius = height / 4;
  const centre = width * (0.8 - 0.6 * time);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cover = Math.min(1, Math.max(0, radius - Math.hypot(x - centre, y - height / 2)));
      const shade = y / height;
      const position = (y * width + x) * 3;
      pixels[position] = 200 * cover + (1 - cover) * 60 * shade;
      pixels[position + 1] = 50 * cover + (1 - cover) * 90 * shade;
      pixels[position + 2] = 50 * cover + (1 - cover) * (70 + 60 * shade);
    }
  }
  return pixels;
}
