import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import type { FrameFormat } from './frame-sink.ts';

/** Changes decoded frames before anything else sees them. */
export interface Watermark {
  /** SHA-256 of everything that affects the mark, hexadecimal: equal hashes mean equal pixels. */
  readonly sha256: string;
  /** Prepares for a size; returns the function that marks a frame, uint8 [height, width, 3], in place. */
  prepare(format: Pick<FrameFormat, 'width' | 'height'>): Promise<(frame: Uint8Array) => void>;
}

/** Largest part of a frame's width and height that a picture may cover. */
const maxShare = { width: 0.4, height: 0.15 };
/** Distance from the edges, as part of the frame's height. */
const margin = 0.02;

/**
 * A picture in the lower right corner of every frame. Throws INVALID_ARGUMENT for a file that is not a PNG.
 *
 * @param setting whose value `path` is
 */
export async function pictureWatermark(path: string, setting: string): Promise<Watermark> {
  const file = await readFile(path).catch((error: Error) => {
    throw invalid(setting, path, reasonOf(error));
  });
  // Loaded when needed, like all encoders.
  const { default: sharp } = await import('sharp');
  const { format } = await sharp(file)
    .metadata()
    .catch(() => {
      throw invalid(setting, path, 'it is not a picture');
    });
  if (format !== 'png') {
    throw invalid(setting, path, `it is ${format}`);
  }
  await sharp(file)
    .stats()
    .catch(() => {
      throw invalid(setting, path, 'it is damaged');
    });
  return {
    sha256: createHash('sha256').update(file).digest('hex'),
    async prepare({ width, height }) {
      const space = Math.ceil(height * margin);
      const { data, info } = await sharp(file)
        .resize({
          width: Math.max(1, Math.floor(width * maxShare.width)),
          height: Math.max(1, Math.floor(height * maxShare.height)),
          fit: 'inside',
        })
        .toColourspace('srgb')
        .ensureAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      const left = width - info.width - space;
      const top = height - info.height - space;
      return (frame) => {
        for (let y = 0; y < info.height; y++) {
          for (let x = 0; x < info.width; x++) {
            blend(frame, 3 * ((top + y) * width + left + x), data, 4 * (y * info.width + x));
          }
        }
      };
    },
  };
}

function blend(frame: Uint8Array, to: number, picture: Uint8Array, from: number): void {
  const alpha = picture[from + 3]! / 255;
  for (let channel = 0; channel < 3; channel++) {
    frame[to + channel] = Math.round(frame[to + channel]! * (1 - alpha) + picture[from + channel]! * alpha);
  }
}

/** The frames with the watermark, if there is one. */
export async function* marked(
  frames: AsyncIterable<Uint8Array>,
  format: Pick<FrameFormat, 'width' | 'height'>,
  watermark: Watermark | undefined,
): AsyncGenerator<Uint8Array> {
  const mark = await watermark?.prepare(format);
  for await (const frame of frames) {
    mark?.(frame);
    yield frame;
  }
}

function invalid(setting: string, path: string, problem: string): FusionError {
  return new FusionError(
    Status.INVALID_ARGUMENT,
    `\`${setting}\` must be a readable PNG file: ${problem} (got ${JSON.stringify(path)})`,
    { reason: 'INVALID_SETTING', field: setting },
  );
}
