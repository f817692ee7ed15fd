import { type FeatureRows, rowCount } from './feature-rows.ts';

/** Inception Score: mean and population standard deviation over the splits. */
export interface InceptionScore {
  mean: number;
  deviation: number;
}

/**
 * exp of the mean divergence of the rows' class probabilities from their average, of each of `splits` equal runs of rows;
 * what does not fill the last run is left out.
 *
 * @param logits one row a video, one column a class
 */
export function inceptionScore(logits: FeatureRows, splits: number): InceptionScore {
  const rows = Math.floor(rowCount(logits) / splits);
  const { width } = logits;
  const scores = Array.from({ length: splits }, (_, split) =>
    scoreOf(width, logits.values.subarray(split * rows * width, (split + 1) * rows * width)),
  );
  const mean = scores.reduce((sum, score) => sum + score, 0) / splits;
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / splits;
  return { mean, deviation: Math.sqrt(variance) };
}

function scoreOf(width: number, logits: Float64Array): number {
  const rows = logits.length / width;
  const average = new Float64Array(width);
  let negativeEntropy = 0;
  for (let row = 0; row < rows; row++) {
    const logProbabilities = logSoftmax(logits.subarray(row * width, (row + 1) * width));
    for (const [column, value] of logProbabilities.entries()) {
      average[column]! += Math.exp(value) / rows;
      negativeEntropy += (Math.exp(value) * value) / rows;
    }
  }
  const ofAverage = average.reduce((sum, value) => sum + (value > 0 ? value * Math.log(value) : 0), 0);
  return Math.exp(negativeEntropy - ofAverage);
}

function logSoftmax(logits: Float64Array): Float64Array {
  const values = Float64Array.from(logits);
  const largest = values.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  const logSum = largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - logSum);
}
