import { expect, test } from '@jest/globals';
import { bootstrapInterval } from './bootstrap.ts';
import { type FeatureRows, pickRows, rowCount } from './feature-rows.ts';
import { FeatureStatistics } from './feature-statistics.ts';
import { frechetDistance } from './frechet-distance.ts';
import { inceptionScore } from './inception-score.ts';
import { nearestRows } from './nearest-rows.ts';
import { metricsGolden } from './testing/metrics-golden.ts';

const golden = await metricsGolden('metrics-distributions');
const signal = new AbortController().signal;

async function rowsOf(name: string): Promise<FeatureRows> {
  return { width: golden.shape(name)[1]!, values: Float64Array.from(await golden.floats(name)) };
}

async function expectFigure(figure: number, name: string): Promise<void> {
  const [expected] = await golden.floats(name);
  expect(Math.abs(figure / expected! - 1)).toBeLessThan(1e-6);
}

test("Fréchet distances are scipy's, of a singular covariance too", async () => {
  const [x, y, z] = (await Promise.all(['x', 'y', 'z'].map(rowsOf))).map((rows) => ({ rows }));
  await expectFigure(frechetDistance(x!, y!), 'frechet_xy');
  await expectFigure(frechetDistance(y!, x!), 'frechet_xy');
  await expectFigure(frechetDistance(x!, z!), 'frechet_xz_eigen');
  await expectFigure(frechetDistance(z!, x!), 'frechet_xz_eigen');
  expect(frechetDistance(x!, x!)).toBeLessThan(1e-9);
});

test('the distance of constant features is that of their means', () => {
  const constant = (value: number) => ({ rows: { width: 2, values: new Float64Array(6).fill(value) } });
  expect(frechetDistance(constant(1), constant(4))).toBe(18);
});

test('rows that count several times are those rows several times', async () => {
  const [x, y, z] = (await Promise.all(['x', 'y', 'z'].map(rowsOf))) as [FeatureRows, FeatureRows, FeatureRows];
  for (const [few, many] of [
    [z, x],
    [x, y],
    [pickRows(x, [3, 7, 4]), z],
  ] as const) {
    const counts = Uint32Array.from({ length: rowCount(few) }, (_, row) => (row * 7) % 4);
    const repeated = [...counts].flatMap((count, row) => Array<number>(count).fill(row));
    const expected = frechetDistance({ rows: pickRows(few, repeated) }, { rows: many });
    expect(Math.abs(frechetDistance({ rows: few, counts }, { rows: many }) / expected - 1)).toBeLessThan(1e-9);
  }
});

test('a feature that is the sum of others, and one that is constant', () => {
  const rows = (count: number, seed: number) => {
    const values = Float64Array.from({ length: count * 4 }, (_, i) => Math.sin(seed * (i + 1) * 12.9898) * 3);
    for (let row = 0; row < count; row++) {
      values[row * 4 + 2] = values[row * 4]! + values[row * 4 + 1]!;
      values[row * 4 + 3] = 5;
    }
    return { width: 4, values };
  };
  // Without them, in the two dimensions that are left: those of the plane that the sum spans.
  const plane = ({ values }: FeatureRows) => ({
    width: 2,
    values: Float64Array.from({ length: values.length / 2 }, (_, i) => {
      const [x, y] = [values[Math.floor(i / 2) * 4]!, values[Math.floor(i / 2) * 4 + 1]!];
      return i % 2 === 0 ? (x - y) / Math.SQRT2 : ((x + y) * Math.sqrt(3)) / Math.SQRT2;
    }),
  });
  const [a, b] = [rows(20, 1), rows(30, 2)];
  const expected = frechetDistance({ rows: plane(a) }, { rows: plane(b) });
  expect(frechetDistance({ rows: a }, { rows: b })).toBeCloseTo(expected, 6);
});

test("a large mean does not reduce the covariance's precision", () => {
  const statistics = FeatureStatistics.of({ width: 1, values: Float64Array.of(1e9 + 1, 1e9 + 2, 1e9 + 3) });
  expect(statistics.covariance().get(0, 0)).toBe(1);
});

test('Inception Scores, whole and in splits', async () => {
  const logits = await rowsOf('logits');
  await expectFigure(inceptionScore(logits, 1).mean, 'inception_score');
  const { mean, deviation } = inceptionScore(logits, 10);
  await expectFigure(mean, 'inception_score_splits_mean');
  await expectFigure(deviation, 'inception_score_splits_std');
});

test('the nearest of other rows, of equally near ones the first', () => {
  const rows = { width: 2, values: Float64Array.of(0, 0, 5, 4) };
  const others = { width: 2, values: Float64Array.of(9, 9, 3, 4, 3, 4) };
  expect(nearestRows(rows, others)).toEqual([
    { row: 0, nearest: 1, distance: 5 },
    { row: 1, nearest: 1, distance: 2 },
  ]);
});

test('logits far from zero', () => {
  const logits = { width: 2, values: Float64Array.of(1e4, 0, 0, 1e4) };
  expect(inceptionScore(logits, 1).mean).toBeCloseTo(2, 12);
});

test('the bootstrap interval is repeatable and has the width of the standard error', async () => {
  const values = Float64Array.from({ length: 400 }, (_, i) => Math.sin(i * 12.9898) * 2);
  const rows: FeatureRows = { width: 1, values };
  const meanOf = ({ values: picked }: FeatureRows) => picked.reduce((sum, value) => sum + value) / picked.length;
  const interval = () =>
    bootstrapInterval(meanOf(rows), [rowCount(rows)], ([picked]) => meanOf(pickRows(rows, picked!)), {
      resamples: 100,
      seed: 7n,
      onResample: () => {},
      signal,
    });
  const { low, high } = await interval();
  // Values of a sine of amplitude 2 have a standard deviation of √2.
  const standardError = Math.sqrt(2 / 400);
  expect((high - low) / (2 * 1.96 * standardError)).toBeCloseTo(1, 0);
  expect(low).toBeLessThan(meanOf(rows));
  expect(high).toBeGreaterThan(meanOf(rows));
  expect(await interval()).toEqual({ low, high });
});
