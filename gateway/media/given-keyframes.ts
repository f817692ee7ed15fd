import { Status } from 'nice-grpc-common';
import sharp, { type Sharp } from 'sharp';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';
import { maxPictureBytes, maxPicturePixels, minKeyframes } from '../../services/kit/pictures.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { decodeFrames } from '../../services/media/decode-video.ts';
import type { EncodedClip } from './clip-worker.ts';
import { cutEdges, picturePixels, preparePicture } from './prepare-picture.ts';
import { readClip } from './read-clip.ts';

/** More frames than any model has keyframes: no further ones of a clip are counted. */
const manyFrames = 64;

/** How long decoding may take, seconds. */
const maxSeconds = 20;

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
    await withClip(field, files[0]!, async (clip, signal) => {
      cutEdges('clip', clip, size).forEach((warning) => void warnings.add(warning));
      for await (const rgb of clip.frames(size, signal)) {
        add(rgb);
      }
    });
  } else {
    for (const file of files) {
      const prepared = await preparePicture(field, file, size);
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

interface Clip extends Size {
  /** How many frames it has, or at least {@link manyFrames}. */
  count: number;
  /** Its frames in a size, each uint8 [height, width, 3]. */
  frames(size: Size, signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

async function withClip<T>(
  field: string,
  file: Uint8Array,
  use: (clip: Clip, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = timeLimit(maxSeconds * 1000);
  try {
    const clip = isWebp(file) ? await openAnimation(file) : await openVideo(file, limit.signal);
    if (clip.width * clip.height > maxPicturePixels) {
      throw invalidField(
        field,
        inWords(`${clip.width}x${clip.height}`),
        `frames of at most ${maxPicturePixels} pixels`,
      );
    }
    return await use(clip, limit.signal);
  } catch (error) {
    if (error instanceof FusionError) {
      throw error;
    }
    const reason = limit.isOver ? `it takes longer than ${maxSeconds} seconds` : reasonOf(error).split('\n')[0];
    const message = `\`${field}\` must be ${clipMustBe}; the file cannot be read (${reason})`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field, cause: error });
  } finally {
    limit.end();
  }
}

async function openVideo(file: Uint8Array, signal: AbortSignal): Promise<Clip> {
  const clip = await readClip(file, manyFrames, signal);
  const { width, height, packets } = clip;
  return { width, height, count: packets.length, frames: (size, decoding) => videoFrames(clip, size, decoding) };
}

async function* videoFrames(clip: EncodedClip, size: Size, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await requireSmallFrames(clip, signal);
  for await (const { data, width, height } of decodeFrames(clip, { signal, maxPixels: maxPicturePixels })) {
    const picture = sharp(data, { raw: { width, height, channels: 4 }, limitInputPixels: maxPicturePixels });
    yield await scaled(picture.rotate(clip.rotation), size);
  }
}

/**
 * Decodes the first frame alone: it may be far larger than the file's index says, and with many packets the decoder would take
 * memory for many of them before one can be checked.
 */
async function requireSmallFrames(clip: EncodedClip, signal: AbortSignal): Promise<void> {
  const first = { config: clip.config, packets: clip.packets.slice(0, 1) };
  for await (const _ of decodeFrames(first, { signal, maxPixels: maxPicturePixels })) {
    // Its size is allowed.
  }
}

async function openAnimation(file: Uint8Array): Promise<Clip> {
  const { width, height, pageHeight = height, pages = 1 } = await sharp(file).metadata();
  return {
    width,
    height: pageHeight,
    count: pages,
    async *frames(size, signal) {
      for (let page = 0; page < pages; page++) {
        signal.throwIfAborted();
        const picture = sharp(file, { page, limitInputPixels: maxPicturePixels, failOn: 'error' });
        yield await scaled(picture.flatten({ background: '#ffffff' }), size);
      }
    },
  };
}

function scaled(picture: Sharp, size: Size): Promise<Uint8Array> {
  return picture
    .resize({ ...size, fit: 'cover', position: 'centre' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .timeout({ seconds: maxSeconds })
    .toBuffer();
}

function isWebp(file: Uint8Array): boolean {
  const text = Buffer.from(file.buffer, file.byteOffset, Math.min(12, file.length)).toString('latin1');
  return text.startsWith('RIFF') && text.endsWith('WEBP');
}
