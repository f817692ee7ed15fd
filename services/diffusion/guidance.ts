import { combine, weightedSum } from './combine.ts';

/**
 * Classifier-free guidance: (w + 1)·conditional − w·unconditional (Ho & Salimans 2022, with the paper's w).
 *
 * @param conditional prediction under the prompt
 * @param unconditional prediction without it, or under the negative prompt; of the same length
 * @param scale w, at least 0; 0 gives `conditional`
 */
export function guide(conditional: Float32Array, unconditional: Float32Array, scale: number): Float32Array {
  return combine(1 + scale, conditional, -scale, unconditional);
}

/**
 * Guidance by text and picture apart, as Kandinsky Video 1.1 does it: (1 − p)·nothing + (p − t)·picture + t·both. The
 * prediction of the network for text and picture is reached with both scales 1.
 *
 * @param both prediction under the text and the first frame; the others are of the same length
 * @param picture prediction under the first frame alone
 * @param nothing prediction under neither
 */
export function guideByTextAndPicture(
  [both, picture, nothing]: readonly [Float32Array, Float32Array, Float32Array],
  { text, image }: { text: number; image: number },
): Float32Array {
  return weightedSum([
    [text, both],
    [image - text, picture],
    [1 - image, nothing],
  ]);
}
