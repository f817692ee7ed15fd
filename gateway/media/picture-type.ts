import { invalidField, inWords } from '../../services/kit/errors.ts';
import { maxPictureBytes } from '../../services/kit/pictures.ts';

export type PictureType = 'PNG' | 'JPEG' | 'WebP' | 'AVIF';

const mustBe = 'a PNG, JPEG, WebP or AVIF picture';

/**
 * The kind of a picture by its first bytes: nothing else reaches a decoder. Throws INVALID_ARGUMENT naming `field` for
 * other files, and for those that are empty, too large or animated by their headers.
 */
export function requirePicture(field: string, file: Uint8Array): PictureType {
  if (file.length === 0) {
    throw invalidField(field, inWords('an empty file'), mustBe);
  }
  if (file.length > maxPictureBytes) {
    throw invalidField(field, inWords(`${file.length} bytes`), `a picture of at most ${maxPictureBytes} bytes`);
  }
  const type = pictureTypeOf(file);
  if (type === undefined) {
    throw invalidField(field, otherKind(file), mustBe);
  }
  if (type === 'PNG' && isAnimatedPng(asBuffer(file))) {
    throw invalidField(field, inWords('an animated PNG'), 'a single picture, not an animation');
  }
  return type;
}

/** The kind of a picture by its first bytes; undefined for an animated AVIF and other files. */
export function pictureTypeOf(file: Uint8Array): PictureType | undefined {
  const start = startOf(file);
  if (start.startsWith('\x89PNG\r\n\x1a\n')) {
    return 'PNG';
  }
  if (start.startsWith('\xff\xd8\xff')) {
    return 'JPEG';
  }
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') {
    return 'WebP';
  }
  const brands = brandsOf(file);
  return brands[0] !== 'avis' && brands.includes('avif') ? 'AVIF' : undefined;
}

/** What another file is, as an error calls it. */
function otherKind(file: Uint8Array): object | string {
  const brands = brandsOf(file);
  if (brands[0] === 'avis') {
    return inWords('an animated AVIF');
  }
  // Its decoder is patented, and not among those of the image library.
  if (brands.some((brand) => /^(he[iv][cxms]|mif1|msf1)$/.test(brand))) {
    return 'HEIC; save it as JPEG';
  }
  return refusedKindOf(file) ?? inWords('a file of another kind');
}

/** The kind of a picture that is known but not read, by its first bytes. */
export function refusedKindOf(file: Uint8Array): string | undefined {
  const known: [RegExp, string][] = [
    [/^GIF8/, 'GIF'],
    [/^BM/, 'BMP'],
    [/^(II\*\0|MM\0\*)/, 'TIFF'],
    [/^%PDF/, 'PDF'],
    [/^\s*<(\?xml|svg)/, 'SVG'],
  ];
  return known.find(([pattern]) => pattern.test(startOf(file)))?.[1];
}

/** The formats that a file of the family of MP4 and AVIF names; none for other files. */
function brandsOf(file: Uint8Array): string[] {
  const start = startOf(file);
  if (start.slice(4, 8) !== 'ftyp') {
    return [];
  }
  const names = start.slice(8, Math.min(asBuffer(file).readUInt32BE(0), 64));
  return [...names.matchAll(/.{4}/gs)].map(([brand]) => brand);
}

/** The first 64 bytes, as Latin-1. */
function startOf(file: Uint8Array): string {
  return asBuffer(file).toString('latin1', 0, 64);
}

function asBuffer(file: Uint8Array): Buffer {
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength);
}

/** Whether a chunk `acTL` comes before the picture's data. */
function isAnimatedPng(bytes: Buffer): boolean {
  for (let position = 8; position + 8 <= bytes.length; position += bytes.readUInt32BE(position) + 12) {
    const type = bytes.toString('latin1', position + 4, position + 8);
    if (type === 'acTL' || type === 'IDAT') {
      return type === 'acTL';
    }
  }
  return false;
}
