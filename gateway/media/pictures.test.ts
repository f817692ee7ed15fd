import { crc32 } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { picturePixels, preparePicture } from './prepare-picture.ts';

/** Four equal parts of 32×16 pixels: red, green, blue and white. */
const quarters = () => {
  const [width, height] = [32, 16];
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 255],
      ][Math.floor(x / 16) + 2 * Math.floor(y / 8)]!;
      data.set(colour, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
};

const size = { width: 16, height: 16 };
const prepare = (file: Uint8Array) => preparePicture('input_reference', file, size);

/** The colours in the middle of each quarter. */
async function colours(file: Uint8Array) {
  const { png, warnings } = await prepare(file);
  const { data, width, height } = await picturePixels(png);
  expect([width, height, data.length]).toEqual([16, 16, 16 * 16 * 3]);
  const at = (x: number, y: number) => [...data.subarray((y * 16 + x) * 3, (y * 16 + x) * 3 + 3)];
  return { corners: [at(3, 3), at(12, 3), at(3, 12), at(12, 12)], warnings };
}

const cropped = "The picture was cropped to the video's shape: only the central 16x16 of its 32x16 pixels are used";
const [red, green, blue, white] = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 255],
];

test.each(['png', 'webp', 'avif', 'jpeg'] as const)(
  'a picture is cropped to its centre and scaled: %s',
  async (format) => {
    const { corners, warnings } = await colours(await quarters().toFormat(format, { quality: 100 }).toBuffer());
    expect(warnings).toEqual([cropped]);
    const wanted = [red, green, blue, white].flat() as number[];
    corners.flat().forEach((value, index) => void expect(Math.abs(value - wanted[index]!)).toBeLessThan(16));
  },
);

test('the same file gives the same bytes, and a picture of the right size is left as it is', async () => {
  const file = await quarters().resize(16, 16, { fit: 'fill', kernel: 'nearest' }).png().toBuffer();
  const [first, second] = await Promise.all([prepare(file), prepare(file)]);
  expect(Buffer.compare(first.png, second.png)).toBe(0);
  expect(first.warnings).toEqual([]);
  const given = await sharp(file).raw().toBuffer();
  expect(Buffer.compare((await picturePixels(first.png)).data, given)).toBe(0);
});

test('orientation is heeded: turned by a quarter, red is at the top right', async () => {
  const file = await quarters()
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .withMetadata({ orientation: 6 })
    .toBuffer();
  const { corners, warnings } = await colours(file);
  expect(warnings[0]).toMatch(/only the central 16x16 of its 16x32 pixels are used$/);
  expect(corners[1]![0]).toBeGreaterThan(200);
  expect(corners[1]![1]).toBeLessThan(60);
});

test('transparency is put on white, said in a warning; an opaque alpha channel is not', async () => {
  const half = { create: { ...size, channels: 4 as const, background: { r: 255, g: 0, b: 0, alpha: 0.5 } } };
  const { corners, warnings } = await colours(await sharp(half).png().toBuffer());
  expect(warnings).toEqual(['The picture is partly transparent: it was put on white']);
  expect(corners[0]![0]).toBe(255);
  expect(Math.abs(corners[0]![1]! - 127)).toBeLessThan(3);
  const opaque = await quarters().resize(16, 16).ensureAlpha().png().toBuffer();
  expect((await prepare(opaque)).warnings).toEqual([]);
});

test('16 bits, grey, a palette and other colour spaces become sRGB in 8 bits', async () => {
  const grey = await quarters().resize(16, 16).greyscale().png().toBuffer();
  expect((await colours(grey)).corners[3]).toEqual(white);
  const deep = await quarters().toColourspace('rgb16').png().toBuffer();
  expect((await sharp(deep).metadata()).depth).toBe('ushort');
  expect((await colours(deep)).corners[0]).toEqual(red);
  expect((await colours(await quarters().png({ palette: true }).toBuffer())).corners[1]).toEqual(green);
  // The same red has smaller numbers in a wider space.
  const wide = await quarters().withIccProfile('p3').png().toBuffer();
  const { corners } = await colours(wide);
  expect(Math.abs(corners[2]![2]! - 255)).toBeLessThan(3);
  expect(Math.abs(corners[0]![1]!)).toBeLessThan(12);
});

describe('an unusable picture is refused, naming the field:', () => {
  const png = () => quarters().png().toBuffer();
  test.each<[string, () => Promise<Uint8Array> | Uint8Array, RegExp]>([
    ['nothing', () => new Uint8Array(), /must be a PNG, JPEG, WebP or AVIF picture \(got an empty file\)/],
    ['text', () => Buffer.from('hello, this is no picture'), /got a file of another kind/],
    ['GIF', () => quarters().gif().toBuffer(), /got "GIF"/],
    ['TIFF', () => quarters().tiff().toBuffer(), /got "TIFF"/],
    ['SVG', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /got "SVG"/],
    ['HEIC', () => Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), /HEIC; save it as JPEG/],
    ['too many bytes', () => Buffer.alloc((12 << 20) + 1, 'a'), /at most 12582912 bytes/],
    ['a truncated PNG', async () => (await png()).subarray(0, 80), /the PNG file is damaged/],
    [
      'a truncated JPEG',
      async () => (await quarters().resize(256).jpeg().toBuffer()).subarray(0, 700),
      /the JPEG file is damaged/,
    ],
    ['a mere header', () => Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), /the PNG file is damaged/],
    ['an animation', animation, /a single picture, not an animation \(got 2 pictures\)/],
    ['an animated PNG', async () => withChunk(await png(), 'acTL', 8), /got an animated PNG/],
    ['a decompression bomb', async () => largerHeader(await png()), /at most 40000000 pixels \(got 60000x60000\)/],
  ])('%s', async (_, file, message) => {
    await expect(prepare(await file())).rejects.toMatchObject({
      field: 'input_reference',
      reason: 'INVALID_FIELD',
      message: expect.stringMatching(message),
    });
  });
});

async function animation(): Promise<Uint8Array> {
  const frames = await Promise.all([quarters(), quarters().negate()].map((frame) => frame.png().toBuffer()));
  return sharp(frames, { join: { animated: true } })
    .webp()
    .toBuffer();
}

/** A PNG with another chunk behind its header. */
function withChunk(png: Buffer, type: string, length: number): Buffer {
  const chunk = Buffer.alloc(length + 12);
  chunk.writeUInt32BE(length, 0);
  chunk.write(type, 4, 'latin1');
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}

/** A PNG whose header promises 3.6 billion pixels. */
function largerHeader(png: Buffer): Buffer {
  const larger = Buffer.from(png);
  larger.writeUInt32BE(60_000, 16);
  larger.writeUInt32BE(60_000, 20);
  larger.writeUInt32BE(crc32(larger.subarray(12, 29)), 29);
  return larger;
}
