import { setImmediate } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { batches } from './batches.ts';
import { type Clip, firstFrames, openClip } from './open-clip.ts';
import { comparePictures, type Likeness, minPictureSide } from './picture-metrics.ts';

/** Two pictures of the same size, each uint8 [height, width, 3]. */
export interface PicturePair {
  reference: Uint8Array;
  candidate: Uint8Array;
}

/** A distance computed by a network. */
export interface PerceptualDistance {
  /** Pairs per call. */
  batchSize: number;
  measure(pairs: readonly PicturePair[], width: number, height: number): Promise<number[]>;
}

/** Similarity of two frames; LPIPS only if a network computes it. */
export interface FrameLikeness extends Likeness {
  lpips?: number;
}

export interface ComparedClips {
  width: number;
  height: number;
  /** By frame. */
  frames: FrameLikeness[];
  /** Means over the frames. */
  mean: FrameLikeness;
  /** Indices of the frames with the lowest and highest PSNR. */
  worst: number;
  best: number;
}

/** Two videos that can be compared. */
export interface ClipPair {
  reference: Clip;
  candidate: Clip;
  /** Frames to compare. */
  frames: number;
}

export interface PairLimits {
  /** Number of frames to compare, from the first; absent: all, and both videos must have the same number. */
  frames?: number | undefined;
  /** Pixels; default: what SSIM needs. */
  minSide?: number | undefined;
}

/** Opens two videos, checking that they fit each other. Throws INVALID_ARGUMENT naming the file. */
export async function openPair(
  referencePath: string,
  candidatePath: string,
  { frames, minSide = 0 }: PairLimits = {},
): Promise<ClipPair> {
  const reference = await openClip(referencePath);
  const candidate = await openClip(candidatePath);
  requireSameSize(reference, candidate, Math.max(minPictureSide, minSide));
  if (frames === undefined && reference.frameCount !== candidate.frameCount) {
    throw refused(
      `${candidatePath} must have ${reference.frameCount} frames, as ${referencePath} has (got ${candidate.frameCount}); --frames compares the first ones alone`,
    );
  }
  const wanted = frames ?? reference.frameCount;
  for (const { path, frameCount } of [reference, candidate]) {
    if (frameCount < Math.max(1, wanted)) {
      throw refused(`${path} must have at least ${Math.max(1, wanted)} frames (got ${frameCount})`);
    }
  }
  return { reference, candidate, frames: wanted };
}

/** Compares two videos frame by frame; holds a few frames at a time, however long they are. */
export async function compareClips(
  pair: ClipPair,
  onFrame: () => void,
  signal: AbortSignal,
  perceptual?: PerceptualDistance,
): Promise<ComparedClips> {
  const { width, height } = pair.reference;
  const frames: FrameLikeness[] = [];
  for await (const pictures of batches(framePairs(pair), perceptual?.batchSize ?? 1)) {
    const distances = await perceptual?.measure(pictures, width, height);
    if (distances?.every(Number.isFinite) === false) {
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `${pair.candidate.path}: the network gave NaN or infinite LPIPS`,
        {
          reason: 'PREDICTION_NOT_FINITE',
        },
      );
    }
    for (const [i, { reference, candidate }] of pictures.entries()) {
      const likeness = comparePictures(reference, candidate, width, height);
      frames.push(distances ? { ...likeness, lpips: distances[i]! } : likeness);
      onFrame();
    }
    // Lets Ctrl-C through.
    await setImmediate();
    signal.throwIfAborted();
  }
  const order = frames.map((_, frame) => frame).sort((a, b) => frames[a]!.psnr - frames[b]!.psnr || a - b);
  return { width, height, frames, mean: meanLikeness(frames), worst: order[0]!, best: order.at(-1)! };
}

/** The frames of both videos. Throws INVALID_ARGUMENT when fewer can be decoded than were announced. */
export async function* framePairs({ reference, candidate, frames }: ClipPair): AsyncGenerator<PicturePair> {
  const others = firstFrames(candidate, frames);
  try {
    for await (const picture of firstFrames(reference, frames)) {
      yield { reference: picture, candidate: (await others.next()).value as Uint8Array };
    }
  } finally {
    await others.return(undefined);
  }
}

/** Means of each figure; of the PSNR without equal pictures, whose PSNR is infinite, unless all are equal. */
export function meanLikeness(all: readonly FrameLikeness[]): FrameLikeness {
  const mean = (pick: (each: FrameLikeness) => number, of = all) =>
    of.reduce((sum, each) => sum + pick(each), 0) / of.length;
  const different = all.filter(({ psnr }) => Number.isFinite(psnr));
  return {
    mse: mean(({ mse }) => mse),
    psnr: different.length > 0 ? mean(({ psnr }) => psnr, different) : Number.POSITIVE_INFINITY,
    ssim: mean(({ ssim }) => ssim),
    ...(all[0]?.lpips !== undefined && { lpips: mean(({ lpips }) => lpips!) }),
  };
}

function requireSameSize(reference: Clip, candidate: Clip, minSide: number): void {
  const { width, height } = reference;
  if (width !== candidate.width || height !== candidate.height) {
    throw refused(
      `${candidate.path} must be ${width}x${height}, the size of ${reference.path} (got ${candidate.width}x${candidate.height}): scale one of them first`,
    );
  }
  if (Math.min(width, height) < minSide) {
    throw refused(`${reference.path} must be at least ${minSide} pixels on each side (got ${width}x${height})`);
  }
}

function refused(message: string): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD' });
}
