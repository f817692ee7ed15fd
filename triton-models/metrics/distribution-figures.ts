import { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.ts';
import { type FeatureRows, pickRows, rowCount } from './feature-rows.ts';
import { FeatureStatistics } from './feature-statistics.ts';
import { frechetDistance } from './frechet-distance.ts';
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
  const distanceOf = (a: FeatureRows, b: FeatureRows) =>
    frechetDistance(FeatureStatistics.of(a), FeatureStatistics.of(b));
  const distance = distanceOf(real, generated);
  const score = inceptionScore(logits, splits);
  const counts = [rowCount(real), rowCount(generated)] as const;
  const intervals = bootstrap.resamples > 0 && {
    distance: await bootstrapInterval(
      distance,
      counts,
      ([a, b]) => distanceOf(pickRows(real, a!), pickRows(generated, b!)),
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
