import { invalidField } from '../kit/errors.ts';
import { logarithm, unitCircle } from './exact-math.ts';
import { philox4x32 } from './philox.ts';

/**
 * The purposes of noise. Draws with the same seed but different purposes are independent. Changing these numbers would
 * change every video of every seed.
 */
export const noisePurpose = {
  keyframes: 0,
  /** By pass. */
  interpolation: [1, 2],
  /** A first frame that is made from the prompt. */
  firstFrame: 3,
  /** What is added to a first frame before the keyframes continue it. */
  augmentation: 4,
  /** What is added to the frames that an interpolation pass continues from, by pass. */
  perturbation: [5, 6],
} as const;

/** Identifies an endless sequence of random values. */
export interface NoiseKey {
  /** 0 to 2^64 − 1. */
  seed: bigint;
  /** One of {@link noisePurpose}. */
  purpose: number;
  /** Which draw of the sampling run: 0 the initial latents, i + 1 the noise that denoising step i adds. */
  draw: number;
}

const { floor, min, sqrt } = Math;

const maxSeed = 0xffff_ffff_ffff_ffffn;
const two32 = 2 ** 32;

/**
 * Elements `offset` to `offset + length` of the row of independent standard normal values that `key` names.
 *
 * An element depends on the key and its own index alone, never on the range that was requested. It has the same bytes
 * on every machine: Philox is integer arithmetic, and the Box–Muller transform uses only +, −, ×, ÷ and the square root
 * of doubles, which ECMAScript defines to the bit. (Math.log, Math.sin and Math.cos are left to the engine, and V8 has
 * changed them.) Values lie within ±6.8.
 *
 * Throws INVALID_ARGUMENT when the seed is not an unsigned 64-bit integer.
 */
export function normalNoise(key: NoiseKey, offset: number, length: number): Float32Array {
  return drawn(key, offset, length, (words, values) => {
    boxMuller(words[0]!, words[1]!, values, 0);
    boxMuller(words[2]!, words[3]!, values, 2);
  });
}

/** The same of independent values spread evenly over [0, 1). */
export function uniformNoise(key: NoiseKey, offset: number, length: number): Float32Array {
  return drawn(key, offset, length, (words, values) => {
    for (let i = 0; i < 4; i++) {
      // The upper 24 bits: more would round up to 1 in float32.
      values[i] = (words[i]! >>> 8) / 2 ** 24;
    }
  });
}

/** @param distribute turns four random words into four values */
function drawn(
  key: NoiseKey,
  offset: number,
  length: number,
  distribute: (words: Uint32Array, values: Float64Array) => void,
): Float32Array {
  if (key.seed < 0n || key.seed > maxSeed) {
    throw invalidField('seed', key.seed, 'a whole number from 0 to 18446744073709551615');
  }
  const philoxKey = Uint32Array.of(Number(key.seed & 0xffff_ffffn), Number(key.seed >> 32n));
  const counter = Uint32Array.of(0, 0, key.draw, key.purpose);
  const words = new Uint32Array(4);
  const fresh = new Float64Array(4);
  const values = new Float32Array(length);

  let index = offset;
  const end = offset + length;
  while (index < end) {
    // Four neighbouring elements share a block: for normal values, two Box–Muller pairs from its four words.
    const block = floor(index / 4);
    counter[0] = block % two32;
    counter[1] = floor(block / two32);
    philox4x32(counter, philoxKey, words);
    distribute(words, fresh);
    const blockEnd = min(end, block * 4 + 4);
    for (; index < blockEnd; index++) {
      values[index - offset] = fresh[index - block * 4]!;
    }
  }
  return values;
}

const circlePoint = new Float64Array(2);

function boxMuller(radiusWord: number, angleWord: number, output: Float64Array, at: number): void {
  // Half a unit up keeps the uniform value inside (0, 1), so the logarithm is finite and below zero.
  const radius = sqrt(-2 * logarithm((radiusWord + 0.5) / two32));
  unitCircle(angleWord, circlePoint);
  output[at] = radius * circlePoint[0]!;
  output[at + 1] = radius * circlePoint[1]!;
}
