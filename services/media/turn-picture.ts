import type { Rotation } from 'mediabunny';
import type { RgbaPicture } from './rgba-picture.ts';

/** The picture, turned clockwise by so many degrees, then mirrored at its vertical axis if `flip`. */
export function turned(picture: RgbaPicture, rotation: Rotation, flip: boolean): RgbaPicture {
  if (rotation === 0 && !flip) {
    return picture;
  }
  const pixels = new Uint32Array(picture.data.buffer, picture.data.byteOffset, picture.width * picture.height);
  const [width, height] = rotation % 180 === 0 ? [picture.width, picture.height] : [picture.height, picture.width];
  const result = new Uint32Array(pixels.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const column = flip ? width - 1 - x : x;
      result[at] = pixels[sourceOf(column, y, picture, rotation)]!;
    }
  }
  return { data: new Uint8Array(result.buffer), width, height };
}

/** Where the pixel at x, y of a turned picture comes from. */
function sourceOf(x: number, y: number, { width, height }: RgbaPicture, rotation: Rotation): number {
  switch (rotation) {
    case 90:
      return (height - 1 - x) * width + y;
    case 180:
      return (height - 1 - y) * width + (width - 1 - x);
    case 270:
      return x * width + (width - 1 - y);
    default:
      return y * width + x;
  }
}
