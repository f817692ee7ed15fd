import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type NoiseKey, noisePurpose, normalNoise, uniformNoise } from './noise.ts';

const key: NoiseKey = { seed: 42n, purpose: noisePurpose.keyframes, draw: 0 };

function digest(values: Float32Array): string {
  return createHash('sha256').update(values).digest('hex');
}

describe('normalNoise', () => {
  test('gives exactly these bytes, on every machine and in every release', () => {
    expect(digest(normalNoise(key, 0, 100_000))).toBe(
      '7dc78ddcc06bbbdcdf4ed1cffed00229e46a9b4fe6fb503cf113fdea47a2717d',
    );
    expect(digest(normalNoise({ seed: 2n ** 64n - 1n, purpose: 2, draw: 999 }, 2 ** 40 + 1, 1000))).toBe(
      '05ce45008f02f71cdecc383bd7ad54c0ba95440a7df18f7d52f209fcf49435ae',
    );
  });

  test('an element does not depend on the requested range', () => {
    const whole = normalNoise(key, 0, 1003);
    for (const size of [1, 3, 4, 5, 64, 1000]) {
      const pieces: number[] = [];
      for (let offset = 0; offset < whole.length; offset += size) {
        pieces.push(...normalNoise(key, offset, Math.min(size, whole.length - offset)));
      }
      expect(pieces).toEqual([...whole]);
    }
  });

  test('the sequence continues past 2^34 elements without repeating', () => {
    const far = normalNoise(key, 2 ** 34 - 2, 4);
    expect([...far.subarray(0, 2)]).toEqual([...normalNoise(key, 2 ** 34 - 2, 2)]);
    expect([...far.subarray(2)]).not.toEqual([...normalNoise(key, 0, 2)]);
  });

  test('seed, purpose and draw each give other values', () => {
    const others: NoiseKey[] = [
      key,
      { ...key, seed: 43n },
      { ...key, seed: 42n + (1n << 32n) },
      { ...key, purpose: noisePurpose.interpolation[0] },
      { ...key, purpose: noisePurpose.interpolation[1] },
      { ...key, draw: 1 },
    ];
    expect(new Set(others.map((other) => digest(normalNoise(other, 0, 16)))).size).toBe(others.length);
  });

  test('has the moments and tails of a standard normal distribution', () => {
    const count = 200_000;
    const values = normalNoise(key, 0, count);
    const moment = (order: number) => values.reduce((sum, value) => sum + value ** order, 0) / count;
    const deviations = (estimate: number, expected: number, variance: number) =>
      Math.abs(estimate - expected) / Math.sqrt(variance / count);
    expect(deviations(moment(1), 0, 1)).toBeLessThan(4);
    expect(deviations(moment(2), 1, 2)).toBeLessThan(4);
    expect(deviations(moment(3), 0, 15)).toBeLessThan(4);
    expect(deviations(moment(4), 3, 96)).toBeLessThan(4);
    const beyond = (limit: number) =>
      values.reduce((sum, value) => sum + (value > limit || value < -limit ? 1 : 0), 0) / count;
    expect(deviations(beyond(1), 0.3173105, 0.2166)).toBeLessThan(4);
    expect(deviations(beyond(3), 0.0026998, 0.0026925)).toBeLessThan(4);
  });

  test('neighbours, draws and seeds are uncorrelated', () => {
    const count = 100_000;
    const values = normalNoise(key, 0, count + 4);
    const rows = [
      ...[1, 2, 3, 4].map((lag) => values.subarray(lag, lag + count)),
      normalNoise({ ...key, draw: 1 }, 0, count),
      normalNoise({ ...key, seed: 43n }, 0, count),
      normalNoise({ ...key, purpose: 1 }, 0, count),
    ];
    for (const row of rows) {
      const product = row.reduce((sum, value, i) => sum + value * values[i]!, 0);
      expect(Math.abs(product) / Math.sqrt(count)).toBeLessThan(4);
    }
  });

  test.each([-1n, 2n ** 64n])('refuses seed %s', (seed) => {
    expect(() => normalNoise({ ...key, seed }, 0, 1)).toThrow(`\`seed\` must be a whole number from 0`);
  });
});

test('uniform noise fills [0, 1) evenly, and an element does not depend on the requested range', () => {
  const values = uniformNoise(key, 0, 40_000);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  for (const quarter of [0, 0.25, 0.5, 0.75]) {
    const share = values.filter((value) => value >= quarter && value < quarter + 0.25).length / values.length;
    expect(Math.abs(share - 0.25)).toBeLessThan(0.01);
  }
  expect([...uniformNoise(key, 7, 6)]).toEqual([...values.subarray(7, 13)]);
});
