/** Planes of luminance and chroma as a decoder leaves them, in 8 bits, or in more as little-endian 16-bit words. */
export interface YuvPlanes {
  data: Uint8Array;
  /** Offset and bytes a row of Y, U and V. */
  layout: readonly { offset: number; stride: number }[];
  /** Pixels. */
  width: number;
  height: number;
  bits: number;
  /** Pixels that share a chroma sample. */
  chromaWidth: 1 | 2;
  chromaHeight: 1 | 2;
}

export interface YuvColours {
  /** Shares of red and blue in luminance. */
  red: number;
  blue: number;
  /** Whether samples use all values, instead of 16 to 235 (240 for chroma) of 255. */
  fullRange: boolean;
}

/** Shares of red and blue by the name that WebCodecs has for a matrix. */
export const yuvMatrices: Record<string, Pick<YuvColours, 'red' | 'blue'>> = {
  smpte170m: { red: 0.299, blue: 0.114 },
  bt470bg: { red: 0.299, blue: 0.114 },
  bt709: { red: 0.2126, blue: 0.0722 },
  'bt2020-ncl': { red: 0.2627, blue: 0.0593 },
};

/** Weights of the four rows of chroma around a row of pixels, by distance in chroma rows: swscale's cubic. */
const cubic = [1.25, 0.25, 0.75, 1.75].map((d) =>
  d < 1 ? 1.4 * d ** 3 - 2.4 * d ** 2 + 1 : -0.6 * d ** 3 + 3 * d ** 2 - 4.8 * d + 2.4,
);

/**
 * RGBA in 8 bits, as ffmpeg converts to `rgb24`: pixels in a row share chroma; rows share it too in 8 bits, and are interpolated
 * in more.
 */
export function yuvToRgba(planes: YuvPlanes, colours: YuvColours): Uint8Array {
  const { width, height, bits, chromaWidth, chromaHeight } = planes;
  const [lumaRow, ...chromaRows] = [0, 1, 2].map((plane) => rowReader(planes, plane));
  const { red, blue, fullRange } = colours;
  const unit = 2 ** (bits - 8);
  const [black, lumaScale, chromaScale] = fullRange
    ? [0, 255 / (2 ** bits - 1), 255 / (2 ** bits - 1)]
    : [16 * unit, 255 / (219 * unit), 255 / (224 * unit)];
  const toRed = 2 * (1 - red) * chromaScale;
  const toBlue = 2 * (1 - blue) * chromaScale;
  const green = 1 - red - blue;
  const [uToGreen, vToGreen] = [(-toBlue * blue) / green, (-toRed * red) / green];
  const rgba = new Uint8ClampedArray(width * height * 4);
  const shift = chromaWidth - 1;
  for (let row = 0, at = 0; row < height; row++) {
    const luma = lumaRow!(row);
    const [us, vs] = chromaRows.map((read) => chromaAt(read, row, height, chromaHeight, bits));
    for (let column = 0; column < width; column++, at += 4) {
      const y = (luma[column]! - black) * lumaScale;
      const u = us![column >> shift]! - 128 * unit;
      const v = vs![column >> shift]! - 128 * unit;
      rgba[at] = y + toRed * v;
      rgba[at + 1] = y + uToGreen * u + vToGreen * v;
      rgba[at + 2] = y + toBlue * u;
      rgba[at + 3] = 255;
    }
  }
  return new Uint8Array(rgba.buffer);
}

type Row = ArrayLike<number>;

function rowReader({ data, layout, bits }: YuvPlanes, plane: number): (row: number) => Row {
  const { offset, stride } = layout[plane]!;
  if (bits === 8) {
    return (row) => data.subarray(offset + row * stride, offset + (row + 1) * stride);
  }
  return (row) => new Uint16Array(data.buffer, data.byteOffset + offset + row * stride, stride / 2);
}

function chromaAt(read: (row: number) => Row, row: number, height: number, chromaHeight: number, bits: number): Row {
  if (chromaHeight === 1 || bits === 8) {
    return read(Math.floor(row / chromaHeight));
  }
  const near = Math.floor(row / 2);
  const towards = row % 2 === 0 ? -1 : 1;
  const last = Math.ceil(height / 2) - 1;
  const rows = cubic.map((weight, index) => ({
    weight,
    values: read(Math.min(last, Math.max(0, near + towards * (index - 1)))),
  }));
  const mixed = new Float32Array(rows[0]!.values.length);
  for (const { weight, values } of rows) {
    for (let column = 0; column < mixed.length; column++) {
      mixed[column]! += weight * values[column]!;
    }
  }
  return mixed;
}
