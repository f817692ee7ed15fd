import { setImmediate } from 'node:timers/promises';
import { seededRandom } from '../world/random.ts';

/** A 95 % confidence interval. */
export interface Interval {
  low: number;
  high: number;
}

export interface BootstrapOptions {
  /** Number of resamples, at least 2. */
  resamples: number;
  /** The same seed gives the same interval. */
  seed: bigint;
  onResample: () => void;
  signal: AbortSignal;
}

/**
 * Bootstrap interval of a figure: `measure` is called with rows drawn from each set with replacement. Replacement inflates
 * a Fréchet distance, so the resamples' deviations from their own mean are applied to the figure.
 *
 * @param counts videos of each set
 */
export async function bootstrapInterval(
  figure: number,
  counts: readonly number[],
  measure: (rows: readonly number[][]) => number,
  { resamples, seed, onResample, signal }: BootstrapOptions,
): Promise<Interval> {
  const random = seededRandom(`bootstrap ${seed}`);
  const draws: number[] = [];
  for (let i = 0; i < resamples; i++) {
    const rows = counts.map((count) => Array.from({ length: count }, () => Math.floor(random() * count)));
    draws.push(measure(rows));
    onResample();
    // Lets Ctrl-C through.
    await setImmediate();
    signal.throwIfAborted();
  }
  draws.sort((a, b) => a - b);
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / resamples;
  const quantile = (share: number) => {
    const place = share * (resamples - 1);
    const [below, above] = [draws[Math.floor(place)]!, draws[Math.ceil(place)]!];
    return below + (above - below) * (place % 1);
  };
  return { low: figure + quantile(0.025) - mean, high: figure + quantile(0.975) - mean };
}
