/** Weights of a network that judges videos; `remote`: those of a server elsewhere, not known to be random. */
export type JudgeWeights = 'trained' | 'random' | 'remote';

/** Figures are random if one of the networks that they depend on is. */
export function worse(weights: JudgeWeights, others: JudgeWeights = weights): JudgeWeights {
  return weights === 'random' ? weights : others;
}

/** A figure for display. One computed with random weights is meaningless and always marked as such. */
export function withWeights(text: string, weights: JudgeWeights): string {
  return weights === 'random' ? `${text} (RANDOM WEIGHTS)` : text;
}
