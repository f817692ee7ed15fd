import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { NewVideo } from '../gateway/client/video-client.ts';
import { requirePicture } from '../gateway/media/picture-type.ts';
import { invalidField } from '../services/kit/errors.ts';
import { maxPictureBytes } from '../services/kit/pictures.ts';
import { reasonOf } from '../services/kit/reason-of.ts';

/** An earlier video, with the number of a frame; without one, the picture that it began with. */
const videoFrame = /^(video_[0-9a-f]{32})(?::(\d{1,6}))?$/;

/**
 * The picture of a request: a file, or a frame of an earlier video. Throws INVALID_ARGUMENT naming `field` for a file that
 * cannot be read or is no picture.
 */
export async function readImage(
  image: string | undefined,
  field = '--image',
): Promise<Pick<NewVideo, 'inputReference'>> {
  if (image === undefined) {
    return {};
  }
  const [, videoId, frame] = videoFrame.exec(image) ?? [];
  if (videoId !== undefined) {
    return { inputReference: { videoId, ...(frame !== undefined && { frame: Number(frame) }) } };
  }
  return { inputReference: await readImageFile(image, field) };
}

/** A picture file. Throws as {@link readImage}. */
export async function readImageFile(path: string, field: string): Promise<Uint8Array> {
  const file = await readStart(path).catch((error: Error) => {
    throw invalidField(field, path, `a picture that can be read (${reasonOf(error)})`);
  });
  requirePicture(field, file);
  return file;
}

/** A file up to the first byte that makes it too large. */
export async function readStart(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of file.createReadStream({ end: maxPictureBytes, autoClose: false })) {
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
  } finally {
    await file.close();
  }
}

/** What identifies the pictures of many requests. Each file is read once for it. */
export class ImageHashes {
  readonly #hashes = new Map<string, Promise<string>>();

  /** Throws as {@link readImage}. */
  of(image: string): Promise<string> {
    const known = this.#hashes.get(image) ?? hashOf(image);
    this.#hashes.set(image, known);
    return known;
  }
}

async function hashOf(image: string): Promise<string> {
  const { inputReference } = await readImage(image, 'image');
  return inputReference instanceof Uint8Array
    ? createHash('sha256').update(inputReference).digest('hex')
    : JSON.stringify(inputReference);
}
