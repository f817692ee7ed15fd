import { Status } from 'nice-grpc-common';
import sharp, { type Sharp } from 'sharp';
import { FusionError, invalidField, inWords, renameField } from '../../services/kit/errors.ts';
import { maxPictureBytes, maxPicturePixels, minKeyframes } from '../../services/kit/pictures.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { decodeFrames } from '../../services/media/decode-video.ts';
import { isShown } from '../../services/media/edit-list.ts';
import { pictureTypeOf, refusedKindOf } from './picture-type.ts';
import { cutEdges, onWhite, picturePixels, preparePicture } from './prepare-picture.ts';
import { type EncodedClip, readClip } from './read-clip.ts';

/** More frames than any model has keyframes: no further ones of a clip are counted. */
const manyFrames = 64;

const clipMustBe = 'an MP4, MOV, WebM or animated WebP clip, or 2 or more pictures';

interface Size {
  /** Pixels. */
  width: number;
  height: number;
}

/**
 * How many keyframes files give: the frames of one clip, or one for each of several pictures. Reads no more of a clip than
 * its index. Throws INVALID_ARGUMENT naming `field`.
 */
export async function countKeyframes(field: string, files: readonly Uint8Array[]): Promise<number> {
  const bytes = files.reduce((sum, { length }) => sum + length, 0);
  if (bytes > maxPictureBytes) {
    throw invalidField(field, inWords(`${bytes} bytes`), `at most ${maxPictureBytes} bytes`);
  }
  const [first, ...others] = files;
  const isClip = first !== undefined && others.length === 0;
  const count = isClip ? await withClip(field, first, async ({ count }) => count) : files.length;
  if (count < minKeyframes || count >= manyFrames) {
    const number = count < manyFrames ? `${count}` : `at least ${manyFrames}`;
    const given = isClip ? `a clip of ${number} ${count === 1 ? 'frame' : 'frames'}` : `${number} pictures`;
    throw invalidField(
      field,
      inWords(given),
      `${minKeyframes} or more frames, at most as many as the model has keyframes`,
    );
  }
  return count;
}

/** Keyframes of a video's size. */
export interface PreparedKeyframes {
  /** All of them, one below the other, RGB in 8 bits. */
  png: Uint8Array;
  /** What was done to them that their owner might not expect. */
  warnings: string[];
}

/**
 * Makes files that {@link countKeyframes} has counted the keyframes of a video: in sRGB, scaled to `size`, and cut at two of
 * their edges if their aspect ratio differs. The same files and size give the same bytes. Throws INVALID_ARGUMENT naming
 * `field`.
 */
export async function prepareKeyframes(
  field: string,
  files: readonly Uint8Array[],
  size: Size,
  count: number,
): Promise<PreparedKeyframes> {
  const frames = new Uint8Array(count * size.width * size.height * 3);
  const warnings = new Set<string>();
  let filled = 0;
  const add = (rgb: Uint8Array) => {
    if (filled + rgb.length <= frames.length) {
      frames.set(rgb, filled);
    }
    filled += rgb.length;
  };
  if (files.length === 1) {
    await withClip(field, files[0]!, async (clip) => {
      cutEdges('clip', clip, size).forEach((warning) => void warnings.add(warning));
      for await (const frame of clip.frames(size)) {
        const { rgb, warnings: found } = await onWhite('clip', frame, size);
        found.forEach((warning) => void warnings.add(warning));
        add(rgb);
      }
    });
  } else {
    for (const [index, file] of files.entries()) {
      const prepared = await preparePicture(field, file, size).catch((error: unknown) => {
        throw byNumber(field, index + 1, error);
      });
      prepared.warnings.forEach((warning) => void warnings.add(warning));
      add((await picturePixels(prepared.png)).data);
    }
  }
  if (filled !== frames.length) {
    const decoded = filled / (frames.length / count);
    throw invalidField(
      field,
      inWords(`${decoded} that can be decoded`),
      `a clip with ${count} frames, as its index says`,
    );
  }
  const raw = { width: size.width, height: count * size.height, channels: 3 } as const;
  return { png: await sharp(frames, { raw, limitInputPixels: false }).png().toBuffer(), warnings: [...warnings] };
}

/** An error about one of several pictures. @param number from 1 */
function byNumber(field: string, number: number, error: unknown): unknown {
  return error instanceof FusionError && error.field === field
    ? renameField(error, field, `Picture ${number} of \`${field}\``)
    : error;
}

interface Clip extends Size {
  /** How many frames it has, or at least {@link manyFrames}. */
  count: number;
  /** Its frames in a size, each uint8 [height, width, 4]. */
  frames(size: Size): AsyncGenerator<Uint8Array>;
}

async function withClip<T>(field: string, file: Uint8Array, use: (clip: Clip) => Promise<T>): Promise<T> {
  try {
    const clip = await openClip(field, new Uint8Array(file));
    if (clip.width * clip.height > maxPicturePixels) {
      throw invalidField(
        field,
        inWords(`${clip.width}x${clip.height}`),
        `frames of at most ${maxPicturePixels} pixels`,
      );
    }
    return await use(clip);
  } catch (error) {
    if (error instanceof FusionError) {
      throw error;
    }
    const message = `\`${field}\` must be ${clipMustBe}; the file cannot be read (${reasonOf(error).split('\n')[0]})`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field, cause: error });
  }
}

async function openClip(field: string, file: Uint8Array<ArrayBuffer>): Promise<Clip> {
  if (file.length === 0) {
    throw invalidField(field, inWords('an empty file'), clipMustBe);
  }
  const refused = refusedKindOf(file);
  if (refused !== undefined) {
    throw invalidField(field, refused, clipMustBe);
  }
  const type = pictureTypeOf(file);
  const clip = type === 'WebP' ? await openAnimation(file) : undefined;
  if (type !== undefined && (clip?.count ?? 1) === 1) {
    throw invalidField(field, inWords(`a single ${type} picture`), clipMustBe);
  }
  return clip ?? openVideo(file);
}

async function openVideo(file: Uint8Array<ArrayBuffer>): Promise<Clip> {
  const clip = await readClip(file, manyFrames);
  const { width, height, packets, shown } = clip;
  const count =
    packets.length < manyFrames ? packets.filter(({ timestamp }) => isShown(timestamp, shown)).length : manyFrames;
  return { width, height, count, frames: (size) => videoFrames(clip, size) };
}

async function* videoFrames(clip: EncodedClip, size: Size): AsyncGenerator<Uint8Array> {
  for await (const { data, width, height } of decodeFrames(clip, maxPicturePixels)) {
    const picture = sharp(data, { raw: { width, height, channels: 4 }, limitInputPixels: maxPicturePixels });
    yield await scaled(await squareSamples(picture, clip), size);
  }
}

/** A frame as it is shown: it may be stored with samples that are wider than high, or the reverse. */
async function squareSamples(picture: Sharp, { isSquare, width, height }: EncodedClip): Promise<Sharp> {
  if (isSquare) {
    return picture;
  }
  const data = await picture.resize({ width, height, fit: 'fill' }).raw().toBuffer();
  return sharp(data, { raw: { width, height, channels: 4 }, limitInputPixels: maxPicturePixels });
}

async function openAnimation(file: Uint8Array): Promise<Clip> {
  const { width, height, pageHeight = height, pages = 1 } = await sharp(file, { limitInputPixels: false }).metadata();
  return {
    width,
    height: pageHeight,
    count: pages,
    async *frames(size) {
      for (let page = 0; page < pages; page++) {
        yield await scaled(sharp(file, { page, limitInputPixels: maxPicturePixels, failOn: 'error' }), size);
      }
    },
  };
}

function scaled(picture: Sharp, size: Size): Promise<Uint8Array> {
  return picture
    .resize({ ...size, fit: 'cover', position: 'centre' })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer();
}
