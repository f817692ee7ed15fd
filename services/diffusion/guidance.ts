import { combine } from './combine.ts';

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
