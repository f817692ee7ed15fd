import { Status } from 'nice-grpc-common';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';
import { maxPicturePixels } from '../../services/kit/pictures.ts';
import { requirePicture } from './picture-type.ts';

export interface PreparedPicture {
  /** RGB in 8 bits, of the requested size. */
  png: Uint8Array;
  /** What was done to it that its owner might not expect. */
  warnings: string[];
}

/**
 * Makes a given picture the first frame of a video: turned upright, in sRGB, on white where it is transparent, scaled to
 * `size`, and cut at two of its edges if its aspect ratio differs. The same file and size give the same bytes. Throws
 * INVALID_ARGUMENT naming `field`.
 */
export async function preparePicture(
  field: string,
  file: Uint8Array,
  size: { width: number; height: number },
): Promise<PreparedPicture> {
  const type = requirePicture(field, file);
  const readable = <T>(read: () => Promise<T>) =>
    read().catch((error: unknown) => {
      throw damaged(field, type, error);
    });
  const header = await readable(() => sharp(file, { limitInputPixels: false }).metadata());
  const given = requireSingle(field, header);
  const data = await readable(() =>
    openPicture(file)
      .autoOrient()
      .resize({ ...size, fit: 'cover', position: 'centre' })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer(),
  );
  const { rgb, warnings } = await onWhite('picture', data, size);
  const png = await sharp(rgb, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
  return { png, warnings: [...warnings, ...cutEdges('picture', given, size)] };
}

/**
 * Puts a picture on white where it is transparent.
 *
 * @param what the picture, as a warning calls it
 * @param rgba uint8 [height, width, 4]
 * @returns uint8 [height, width, 3]
 */
export async function onWhite(
  what: string,
  rgba: Uint8Array,
  { width, height }: { width: number; height: number },
): Promise<{ rgb: Uint8Array; warnings: string[] }> {
  const picture = sharp(rgba, { raw: { width, height, channels: 4 } });
  const rgb = await picture.flatten({ background: '#ffffff' }).removeAlpha().raw().toBuffer();
  return { rgb, warnings: isTransparent(rgba) ? [`The ${what} is partly transparent: it was put on white`] : [] };
}

/** The pixels of a prepared picture, uint8 [height, width, 3]. */
export async function picturePixels(png: Uint8Array): Promise<{ data: Uint8Array; width: number; height: number }> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

function openPicture(file: Uint8Array): Sharp {
  // The first picture only: an animation is refused by its header.
  return sharp(file, { failOn: 'error', limitInputPixels: maxPicturePixels, pages: 1 });
}

/** The upright size of a picture. Throws unless it is a single one, and not too large. */
function requireSingle(field: string, header: Metadata): { width: number; height: number } {
  const { pages = 1 } = header;
  if (pages > 1) {
    throw invalidField(field, inWords(`${pages} pictures`), 'a single picture, not an animation');
  }
  const { width, height } = header.autoOrient;
  if (width * height > maxPicturePixels) {
    throw invalidField(field, inWords(`${width}x${height}`), `a picture of at most ${maxPicturePixels} pixels`);
  }
  return { width, height };
}

/** Every fourth byte is a pixel's opacity. */
function isTransparent(rgba: Uint8Array): boolean {
  for (let index = 3; index < rgba.length; index += 4) {
    if (rgba[index]! < 255) {
      return true;
    }
  }
  return false;
}

/** What is cut off at the edges, as a warning. @param what the picture, as it is called */
export function cutEdges(
  what: string,
  given: { width: number; height: number },
  size: { width: number; height: number },
): string[] {
  const scale = Math.max(size.width / given.width, size.height / given.height);
  const used = { width: Math.round(size.width / scale), height: Math.round(size.height / scale) };
  const text = ({ width, height }: typeof given) => `${width}x${height}`;
  return used.width < given.width || used.height < given.height
    ? [
        `The ${what} was cropped to the video's shape: only the central ${text(used)} of its ${text(given)} pixels are used`,
      ]
    : [];
}

/** INVALID_ARGUMENT for a picture that cannot be decoded. */
function damaged(field: string, type: string, cause: unknown): FusionError {
  const reason = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
  const message = `\`${field}\` must be a readable picture: the ${type} file is damaged or too complex (${reason})`;
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field, cause });
}
