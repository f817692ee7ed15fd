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
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const text = (start: number, end: number) => bytes.toString('latin1', start, end);
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') {
    if (isAnimatedPng(bytes)) {
      throw invalidField(field, inWords('an animated PNG'), 'a single picture, not an animation');
    }
    return 'PNG';
  }
  if (text(0, 3) === '\xff\xd8\xff') {
    return 'JPEG';
  }
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') {
    return 'WebP';
  }
  if (text(4, 8) === 'ftyp') {
    const brands = [...text(8, Math.min(bytes.readUInt32BE(0), 64)).matchAll(/.{4}/gs)].map(([brand]) => brand);
    if (brands[0] === 'avis') {
      throw invalidField(field, inWords('an animated AVIF'), 'a single picture, not an animation');
    }
    if (brands.includes('avif')) {
      return 'AVIF';
    }
    // Its decoder is patented, and not among those of the image library.
    const isHeic = brands.some((brand) => /^(he[iv][cxms]|mif1|msf1)$/.test(brand));
    throw invalidField(field, isHeic ? 'HEIC; save it as JPEG' : 'another file', mustBe);
  }
  throw invalidField(field, kindOf(text(0, 16)), mustBe);
}

function kindOf(start: string): string {
  const known: [RegExp, string][] = [
    [/^GIF8/, 'GIF'],
    [/^BM/, 'BMP'],
    [/^(II\*\0|MM\0\*)/, 'TIFF'],
    [/^%PDF/, 'PDF'],
    [/^\s*<(\?xml|svg)/, 'SVG'],
  ];
  return known.find(([pattern]) => pattern.test(start))?.[1] ?? 'another file';
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
