import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { ALL_FORMATS, FilePathSource, Input } from 'mediabunny';
import { Status } from 'nice-grpc-common';
import sharp, { type Sharp } from 'sharp';
import { FusionError } from '../../services/kit/errors.ts';
import { systemReasonOf } from '../../services/kit/reason-of.ts';
import { decodeVideo } from '../../services/media/decode-video.ts';

/** A video whose frames are decoded while they are read. */
export interface Clip {
  path: string;
  /** Pixels. */
  width: number;
  height: number;
  frameCount: number;
  /** Each uint8 [height, width, 3], in the order in which they are shown. */
  frames(): AsyncGenerator<Uint8Array>;
}

export const videoEndings = ['.mp4', '.webm', '.mov', '.webp'];
const frameName = /^\D*\d+\.(png|jpe?g|webp)$/i;
/** Frames of a WebP animation that are decoded together. */
const pagesAtOnce = 16;

/** The numbered pictures of a folder, by number. */
export async function numberedFrames(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => frameName.test(name));
  const numberOf = (name: string) => Number(/(\d+)\.\w+$/.exec(name)![1]);
  return names.sort((a, b) => numberOf(a) - numberOf(b)).map((name) => join(folder, name));
}

/** Whether a file is a WebP animation. A file that can't be read is none: opening it reports why. */
export async function isAnimation(path: string): Promise<boolean> {
  if (extname(path).toLowerCase() !== '.webp') {
    return false;
  }
  const { pages = 1 } = await sharp(path)
    .metadata()
    .catch(() => ({ pages: 1 }));
  return pages > 1;
}

/** Opens a video file, or a folder of numbered frames. Throws INVALID_ARGUMENT naming the file. */
export async function openClip(path: string): Promise<Clip> {
  if ((await stat(path)).isDirectory()) {
    return openFrames(path);
  }
  return extname(path).toLowerCase() === '.webp' ? openAnimation(path) : openVideo(path);
}

/** The first `count` frames. Throws INVALID_ARGUMENT when fewer can be decoded. */
export async function* firstFrames(clip: Clip, count: number): AsyncGenerator<Uint8Array> {
  let found = 0;
  for await (const frame of clip.frames()) {
    yield frame;
    if (++found === count) {
      return;
    }
  }
  throw refused(`${clip.path} must have ${count} frames (${found} can be decoded)`);
}

async function openFrames(folder: string): Promise<Clip> {
  const files = await numberedFrames(folder);
  const first = await readable(files[0]!, () => sharp(files[0]!).metadata());
  return {
    path: folder,
    width: first.width,
    height: first.height,
    frameCount: files.length,
    async *frames() {
      for (const file of files) {
        const { data, info } = await readable(file, () => toRgb(sharp(file)));
        if (info.width !== first.width || info.height !== first.height) {
          throw refused(
            `${file} must be ${first.width}x${first.height}, the size of ${basename(files[0]!)} (got ${info.width}x${info.height})`,
          );
        }
        yield data;
      }
    },
  };
}

async function openAnimation(path: string): Promise<Clip> {
  const { width, height, pageHeight = height, pages = 1 } = await readable(path, () => sharp(path).metadata());
  return {
    path,
    width,
    height: pageHeight,
    frameCount: pages,
    async *frames() {
      for (let page = 0; page < pages; page += pagesAtOnce) {
        const count = Math.min(pagesAtOnce, pages - page);
        const { data } = await readable(path, () => toRgb(sharp(path, { page, pages: count })));
        const bytes = data.length / count;
        for (let index = 0; index < count; index++) {
          yield data.subarray(index * bytes, (index + 1) * bytes);
        }
      }
    },
  };
}

async function openVideo(path: string): Promise<Clip> {
  return withTrack(path, async (track) => ({
    path,
    width: await track.getDisplayWidth(),
    height: await track.getDisplayHeight(),
    frameCount: (await track.computePacketStats()).packetCount,
    frames: () => readVideo(path),
  }));
}

type VideoTrack = NonNullable<Awaited<ReturnType<Input['getPrimaryVideoTrack']>>>;

async function withTrack<T>(path: string, use: (track: VideoTrack) => Promise<T>): Promise<T> {
  const input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS });
  try {
    return await readable(path, async () => {
      const track = await input.getPrimaryVideoTrack();
      if (!track) {
        throw new Error('it has no video track');
      }
      return use(track);
    });
  } finally {
    input.dispose();
  }
}

async function* readVideo(path: string): AsyncGenerator<Uint8Array> {
  const input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS });
  try {
    const track = (await input.getPrimaryVideoTrack())!;
    for await (const { data } of decodeVideo(track)) {
      yield data.filter((_, index) => index % 4 !== 3);
    }
  } catch (error) {
    throw notReadable(path, error as Error);
  } finally {
    input.dispose();
  }
}

function toRgb(picture: Sharp) {
  return picture.flatten().toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true });
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  return read().catch((error: Error) => {
    throw notReadable(path, error);
  });
}

function notReadable(path: string, error: Error): FusionError {
  if (error instanceof FusionError) {
    return error;
  }
  const reason = systemReasonOf(error);
  return refused(`${path} must be a readable video or picture${reason === undefined ? '' : ` (${reason})`}`, error);
}

function refused(message: string, cause?: Error): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', cause });
}
