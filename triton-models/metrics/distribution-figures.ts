import { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.ts';
import { type FeatureRows, pickRows, rowCount } from './feature-rows.ts';
import { type CountedRows, frechetDistance } from './frechet-distance.ts';
import { inceptionScore } from './inception-score.ts';

/** Network outputs for two sets of videos, one row per video. */
export interface VideoFeatures {
  real: FeatureRows;
  generated: FeatureRows;
  /** Class logits of the generated videos. */
  logits: FeatureRows;
}

export interface DistributionFigures {
  frechetDistance: { value: number; interval?: Interval };
  inceptionScore: { mean: number; deviation: number; interval?: Interval };
  warnings: string[];
}

/** Computes both figures, with intervals if `resamples` is above 0. */
export async function distributionFigures(
  { real, generated, logits }: VideoFeatures,
  splits: number,
  bootstrap: BootstrapOptions,
): Promise<DistributionFigures> {
  const distance = frechetDistance({ rows: real }, { rows: generated });
  const score = inceptionScore(logits, splits);
  const counts = [rowCount(real), rowCount(generated)] as const;
  const intervals = bootstrap.resamples > 0 && {
    distance: await bootstrapInterval(
      distance,
      counts,
      ([a, b]) => frechetDistance(drawn(real, a!), drawn(generated, b!)),
      bootstrap,
    ),
    score: await bootstrapInterval(
      score.mean,
      [counts[1]],
      ([rows]) => inceptionScore(pickRows(logits, rows!), splits).mean,
      { ...bootstrap, onResample: () => {} },
    ),
  };
  return {
    frechetDistance: { value: distance, ...(intervals && { interval: from(0, intervals.distance) }) },
    inceptionScore: { ...score, ...(intervals && { interval: from(1, intervals.score) }) },
    warnings: fewVideosWarnings(real.width, counts),
  };
}

/** @param picked numbers of rows, of some several times */
function drawn(rows: FeatureRows, picked: readonly number[]): CountedRows {
  const counts = new Uint32Array(rowCount(rows));
  for (const row of picked) {
    counts[row]!++;
  }
  return { rows, counts };
}

/** The part of an interval that a figure of at least `min` can be in. */
function from(min: number, { low, high }: Interval): Interval {
  return { low: Math.max(min, low), high: Math.max(min, high) };
}

/** Few videos bias the distance upwards, especially fewer than there are features. */
function fewVideosWarnings(features: number, [real, generated]: readonly [number, number]): string[] {
  const fewest = Math.min(real, generated);
  return fewest > features
    ? []
    : [
        `the covariance of ${features} features is singular with ${fewest} videos: the distance is too large, and comparable only with others of as many videos`,
      ];
}
