/** Weights of a network that judges videos; `remote`: those of a server elsewhere, not known to be random. */
export type JudgeWeights = 'trained' | 'random' | 'remote';

/** A figure for display. One computed with random weights is meaningless and always marked as such. */
export function withWeights(text: string, weights: JudgeWeights): string {
  return weights === 'random' ? `${text} (RANDOM WEIGHTS)` : text;
}
