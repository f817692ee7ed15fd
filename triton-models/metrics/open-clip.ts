import { open, stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import {
  ALL_FORMATS,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputVideoTrack,
  type PacketRetrievalOptions,
} from 'mediabunny';
import { Status } from 'nice-grpc-common';
import sharp, { type Sharp } from 'sharp';
import { FusionError } from '../../services/kit/errors.ts';
import { systemReasonOf } from '../../services/kit/reason-of.ts';
import { decodeFrames } from '../../services/media/decode-video.ts';
import { isShown } from '../../services/media/edit-list.ts';
import { UnreadableVideo } from '../../services/media/unreadable-video.ts';
import { storageOf, type VideoStorage } from '../../services/media/video-storage.ts';
import { numberedFrames } from './numbered-frames.ts';

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
/** Frames of a WebP animation that are decoded together. */
const pagesAtOnce = 16;

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
  const video = await openTrack(path);
  try {
    const { track, rotation, shown } = video;
    // Pixels as they are stored, even if they are not square: so does ffmpeg.
    const stored = [await track.getCodedWidth(), await track.getCodedHeight()] as const;
    const [width, height] = rotation % 180 === 0 ? stored : ([stored[1], stored[0]] as const);
    let frameCount = 0;
    for await (const { timestamp } of packetsOf(track, { metadataOnly: true })) {
      frameCount += isShown(timestamp, shown) ? 1 : 0;
    }
    return { path, width, height, frameCount, frames: () => readVideo(path) };
  } catch (error) {
    throw notReadable(path, error as Error);
  } finally {
    await video.close();
  }
}

async function* readVideo(path: string): AsyncGenerator<Uint8Array> {
  const video = await openTrack(path);
  try {
    for await (const { data } of decodeFrames({ ...video, packets: packetsOf(video.track) })) {
      yield data.filter((_, index) => index % 4 !== 3);
    }
  } catch (error) {
    throw notReadable(path, error as Error);
  } finally {
    await video.close();
  }
}

interface OpenTrack extends VideoStorage {
  track: InputVideoTrack;
  close(): Promise<void>;
}

async function openTrack(path: string): Promise<OpenTrack> {
  const file = await open(path);
  const input = new Input({ source: new FilePathSource(path), formats: ALL_FORMATS });
  const close = async () => {
    input.dispose();
    await file.close();
  };
  try {
    const track = await input.getPrimaryVideoTrack();
    if (!track) {
      throw new UnreadableVideo('it has no video track');
    }
    const read = async (offset: number, length: number) => {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return { track, ...(await storageOf(track, read)), close };
  } catch (error) {
    await close();
    throw notReadable(path, error as Error);
  }
}

function packetsOf(track: InputVideoTrack, options?: PacketRetrievalOptions) {
  return new EncodedPacketSink(track).packets(undefined, undefined, options);
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
  const reason = error instanceof UnreadableVideo ? error.message : systemReasonOf(error);
  return refused(`${path} must be a readable video or picture${reason === undefined ? '' : ` (${reason})`}`, error);
}

function refused(message: string, cause?: Error): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', cause });
}
