import { setImmediate } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { type Clip, openClip } from './open-clip.ts';
import { comparePictures, type Likeness, likenessNames, minPictureSide } from './picture-metrics.ts';

/** A frame of the reference beside the same of the candidate, each uint8 [height, width, 3]. */
export interface FramePair {
  frame: number;
  likeness: Likeness;
  reference: Uint8Array;
  candidate: Uint8Array;
}

export interface ComparedClips {
  width: number;
  height: number;
  /** By frame. */
  frames: Likeness[];
  /** Means over the frames. */
  mean: Likeness;
  /** The frames that are least and most alike by PSNR. */
  worst: FramePair;
  best: FramePair;
}

/** Two videos that can be compared. */
export interface ClipPair {
  reference: Clip;
  candidate: Clip;
  /** Frames to compare. */
  frames: number;
}

/**
 * Opens two videos, checking that they fit each other. Throws INVALID_ARGUMENT naming the file.
 *
 * @param frames compares the first ones alone; absent: all, and both videos must have as many
 */
export async function openPair(referencePath: string, candidatePath: string, frames?: number): Promise<ClipPair> {
  const reference = await openClip(referencePath);
  const candidate = await openClip(candidatePath);
  requireSameSize(reference, candidate);
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
  { reference, candidate, frames: count }: ClipPair,
  onFrame: () => void,
  signal: AbortSignal,
): Promise<ComparedClips> {
  const { width, height } = reference;
  const frames: Likeness[] = [];
  let worst: FramePair | undefined;
  let best: FramePair | undefined;
  const others = candidate.frames();
  try {
    for await (const picture of reference.frames()) {
      const other = await others.next();
      if (other.done) {
        break;
      }
      const likeness = comparePictures(picture, other.value, width, height);
      const pair = { frame: frames.length, likeness, reference: picture, candidate: other.value };
      worst = !worst || likeness.psnr < worst.likeness.psnr ? pair : worst;
      best = !best || likeness.psnr > best.likeness.psnr ? pair : best;
      frames.push(likeness);
      onFrame();
      if (frames.length === count) {
        break;
      }
      // Lets Ctrl-C through.
      await setImmediate();
      signal.throwIfAborted();
    }
  } finally {
    await others.return(undefined);
  }
  if (!worst || !best || frames.length < count) {
    throw refused(
      `${reference.path} and ${candidate.path} must have ${count} frames (${frames.length} can be decoded)`,
    );
  }
  return { width, height, frames, mean: meanLikeness(frames), worst, best };
}

/** Means of each figure. */
export function meanLikeness(all: readonly Likeness[]): Likeness {
  const mean = (name: keyof Likeness) => all.reduce((sum, each) => sum + each[name], 0) / all.length;
  return Object.fromEntries(likenessNames.map((name) => [name, mean(name)])) as unknown as Likeness;
}

function requireSameSize(reference: Clip, candidate: Clip): void {
  const { width, height } = reference;
  if (width !== candidate.width || height !== candidate.height) {
    throw refused(
      `${candidate.path} must be ${width}x${height}, the size of ${reference.path} (got ${candidate.width}x${candidate.height}): scale one of them first`,
    );
  }
  if (Math.min(width, height) < minPictureSide) {
    throw refused(`${reference.path} must be at least ${minPictureSide} pixels on each side (got ${width}x${height})`);
  }
}

function refused(message: string): FusionError {
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD' });
}
