/** Weights of a network that judges videos; `remote`: those of a server elsewhere, not known to be random. */
export type JudgeWeights = 'trained' | 'random' | 'remote';

/** A figure as it is shown: what random weights computed means nothing, and never stands without saying so. */
export function withWeights(text: string, weights: JudgeWeights): string {
  return weights === 'random' ? `${text} (RANDOM WEIGHTS)` : text;
}
