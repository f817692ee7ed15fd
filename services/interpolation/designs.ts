import { missingFrames, sequenceFrames, sequenceLength, writeSequenceInputs } from '../diffusion/masked-sequences.ts';
import { framesPerGroup, writeGroupInputs } from '../diffusion/temporal-groups.ts';
import { maxSequences, seesMaskedFrames } from '../pipeline/networks/unet.ts';
import type { Preset } from '../pipeline/preset.ts';

/** How an interpolation network sees the pairs of neighbouring frames of a pass. A frame has 4·h·w elements. */
export interface Design {
  /** Maximum number of items in a request. */
  maxItems: number;
  /** Elements of a pair's input. */
  pairLength(frameSize: number): number;
  /** The first sizes of the inputs for the pairs of a pass, once or, with guidance, twice. */
  leading(times: number, pairs: number): [items: number, frames: number];
  /** Writes the inputs of all pairs of a pass; without frames, those of the unconditional half of guidance. */
  write(noisy: Float32Array, frames: Float32Array | undefined, frameSize: number, output: Float32Array): void;
  /** The part of a prediction that counts: three frames a pair. */
  read(prediction: Float32Array, frameSize: number): Float32Array;
}

/** Ours: the three frames of all pairs at once, in which the pairs see each other. */
const groupsOfThree: Design = {
  maxItems: 2,
  pairLength: (frameSize) => (framesPerGroup + 2) * frameSize,
  leading: (times, pairs) => [times, pairs],
  write: writeGroupInputs,
  read: (prediction) => prediction,
};

/** The paper's baseline: every pair is a sequence of its own. */
const maskedFrames: Design = {
  maxItems: maxSequences,
  pairLength: sequenceLength,
  leading: (times, pairs) => [times * pairs, sequenceFrames],
  write: writeSequenceInputs,
  read: missingFrames,
};

export function designOf({ interpolation: { network } }: Preset): Design {
  return seesMaskedFrames(network) ? maskedFrames : groupsOfThree;
}
