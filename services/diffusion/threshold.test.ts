import { describe, expect, test } from '@jest/globals';
import { normalNoise } from './noise.ts';
import { goldenTensors, maxDifference } from './testing/goldens.ts';
import { threshold } from './threshold.ts';

const golden = await goldenTensors('schedule-tables');

describe('threshold', () => {
  test.each([
    [0, 0.98],
    [1, 0.98],
    [2, 0.95],
    [3, undefined],
  ])('published example %i, percentile %s', (example, percentile) => {
    const { shape, data } = golden.get(`threshold.${example}.x`)!;
    const denoised = data.slice();
    threshold(denoised, { itemSize: data.length / shape[0]!, percentile });
    expect(maxDifference(denoised, golden.get(`threshold.${example}.y`)!.data)).toBeLessThan(1e-6);
  });

  test.each([1, 2, 3, 64, 255])('the limit is the interpolated quantile of %i values', (itemSize) => {
    for (const percentile of [0.5, 0.9, 0.98, 1]) {
      for (const spread of [0.5, 1, 3]) {
        const values = normalNoise({ seed: 1n, purpose: 0, draw: itemSize }, 0, itemSize).map((x) => x * spread);
        const sorted = [...values.map(Math.abs)].sort((a, b) => a - b);
        const rank = percentile * (itemSize - 1);
        const below = sorted[Math.floor(rank)]!;
        const above = sorted[Math.ceil(rank)]!;
        const limit = Math.max(1, below + (above - below) * (rank % 1));
        const expected = values.map((x) => Math.min(limit, Math.max(-limit, x)) / limit);
        threshold(values, { itemSize, percentile });
        expect(maxDifference(values, expected)).toBeLessThan(1e-6);
      }
    }
  });
});
