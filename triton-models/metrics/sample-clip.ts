import sharp from 'sharp';
import { c3dSide } from '../../services/pipeline/networks/c3d.ts';
import { i3dSide } from '../../services/pipeline/networks/i3d.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { seededRandom } from '../world/random.ts';
import { type Clip, firstFrames } from './open-clip.ts';
import type { Protocol } from './protocol.ts';
import { resampleSquare } from './resample-square.ts';

/** Frames from the first to the last that the network sees. */
export function framesNeeded({ frames, stride }: Pick<Protocol, 'frames' | 'stride'>): number {
  return (frames - 1) * stride + 1;
}

/**
 * Number of the first frame that the network sees. A random one depends on the seed and the video's name alone, not on
 * what else is compared.
 */
export function startOf(
  protocol: Protocol,
  kind: 'real' | 'generated',
  name: string,
  clip: Clip,
  seed: bigint,
): number {
  if (kind === 'generated' || protocol.start === 'beginning') {
    return 0;
  }
  const starts = clip.frameCount - framesNeeded(protocol) + 1;
  return Math.floor(seededRandom(`start ${seed} ${name}`)() * starts);
}

/** The squares that a network sees. */
export interface Squares {
  /** Pixels. */
  side: number;
  /** See {@link resampleSquare}. */
  alignCorners: boolean;
}

/** As StyleGAN-V scales frames for I3D, and TGANv2 for C3D. */
export const squaresOf = {
  i3d: { side: i3dSide, alignCorners: false },
  c3d: { side: c3dSide, alignCorners: true },
} satisfies Record<string, Squares>;

/** What the network sees of a video: `[1, 3, frames, side, side]`, colours in [−1, 1]. Holds no other frames. */
export async function sampleClip(
  clip: Clip,
  start: number,
  protocol: Protocol,
  squares: Squares,
): Promise<Tensor<'float32'>> {
  const { frames, stride } = protocol;
  const { side } = squares;
  const pixels = side ** 2;
  const video = new Float32Array(3 * frames * pixels);
  let number = 0;
  for await (const picture of firstFrames(clip, start + framesNeeded(protocol))) {
    const frame = (number++ - start) / stride;
    if (frame < 0 || !Number.isInteger(frame)) {
      continue;
    }
    const planes = await squareOf(picture, clip, protocol, squares);
    for (let channel = 0; channel < 3; channel++) {
      const plane = planes.subarray(channel * pixels, (channel + 1) * pixels);
      video.set(plane, (channel * frames + frame) * pixels);
    }
  }
  return tensor('float32', [1, 3, frames, side, side], video);
}

async function squareOf(
  picture: Uint8Array,
  clip: Clip,
  { resolution, crop }: Protocol,
  { side, alignCorners }: Squares,
): Promise<Float32Array> {
  if (resolution === null) {
    return resampleSquare(picture, clip.width, clip.height, side, crop, alignCorners);
  }
  const raw = { width: clip.width, height: clip.height, channels: 3 } as const;
  const square = await sharp(picture, { raw })
    .resize(resolution, resolution, { fit: 'cover', position: 'centre', kernel: 'lanczos3' })
    .raw()
    .toBuffer();
  return resampleSquare(square, resolution, resolution, side, crop, alignCorners);
}
