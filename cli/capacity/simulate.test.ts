import { expect, test } from '@jest/globals';
import { poissonArrivals } from './arrivals.ts';
import { percentile, simulate } from './simulate.ts';
import type { StageLoad } from './stage-load.ts';

function stage(load: Partial<StageLoad> = {}): StageLoad {
  const call = { times: 1, items: 1, secondsOf: () => 1 };
  return {
    stage: 'keyframes',
    calls: [call],
    maxBatchSize: 1,
    startSeconds: 0,
    outsideSeconds: 0,
    retryRate: 0,
    hasSteps: false,
    ...load,
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test('calls at random to one backend wait as long as queueing theory says (M/D/1)', () => {
  const arrivals = poissonArrivals(0.7, 50_000, 3);
  const { stages, latencies } = simulate({ stages: [stage()], replicas: [1], arrivals });
  const expected = 0.7 / (2 * (1 - 0.7));
  expect(mean(stages[0]!.waits) / expected).toBeCloseTo(1, 1);
  expect(mean(latencies)).toBeCloseTo(mean(stages[0]!.waits) + 1, 6);
  expect(stages[0]!.utilization).toBeCloseTo(0.7, 1);
});

test('a video alone takes the sum of its calls, stage after stage', () => {
  const calls = [
    { times: 3, items: 2, secondsOf: (items: number) => items / 2 },
    { times: 1, items: 1, secondsOf: () => 0.25 },
  ];
  const result = simulate({ stages: [stage(), stage({ calls, maxBatchSize: 4 })], replicas: [1, 1], arrivals: [10] });
  expect(result.latencies).toEqual([4.25]);
  expect(result.stages.map(({ seconds }) => seconds)).toEqual([[1], [3.25]]);
  expect(result.end).toBe(14.25);
});

test('waiting calls of one kind run together, up to the largest batch', () => {
  const calls = [{ times: 2, items: 2, secondsOf: () => 1 }];
  const at = [0, 0, 0, 0, 0];
  const { stages, latencies } = simulate({ stages: [stage({ calls, maxBatchSize: 4 })], replicas: [1], arrivals: at });
  // The first runs alone; then two at a time.
  expect(stages[0]!.batches).toBe(6);
  expect(stages[0]!.items).toBe(20);
  expect(percentile(latencies, 1)).toBe(6);

  const kinds = [
    { times: 1, items: 1, secondsOf: () => 1 },
    { times: 1, items: 1, secondsOf: () => 1 },
  ];
  const mixed = simulate({ stages: [stage({ calls: kinds, maxBatchSize: 8 })], replicas: [1], arrivals: [0, 0.5] });
  // The first kind twice, then both videos in the second.
  expect(mixed.stages[0]!.batches).toBe(3);
});

test('denoising steps of videos that began at different times meet in a batch', () => {
  const steps = { calls: [{ times: 4, items: 1, secondsOf: () => 1 }], maxBatchSize: 4, outsideSeconds: 0.2 };
  const run = (hasSteps: boolean) => {
    const { stages, latencies } = simulate({
      stages: [stage({ ...steps, hasSteps })],
      replicas: [1],
      arrivals: [0, 0.5],
    });
    return { batches: stages[0]!.batches, latencies };
  };
  expect(run(false)).toEqual({ batches: 8, latencies: [expect.closeTo(7.05), expect.closeTo(7.55)] });
  // The first two are alone: the duration of a batch is not known yet.
  expect(run(true)).toEqual({ batches: 5, latencies: [expect.closeTo(5.2), expect.closeTo(4.7)] });
});

test("a stage's other work delays its video without occupying a backend", () => {
  const calls = [{ times: 2, items: 1, secondsOf: () => 1 }];
  const at = [0, 2, 20];
  const result = simulate({ stages: [stage({ calls, outsideSeconds: 3 })], replicas: [1], arrivals: at });
  // The second's first call falls into the pause of the first, whose second call waits half a second for it.
  expect(result.latencies).toEqual([5.5, 5, 5]);
  expect(result.stages[0]!.busySeconds).toBe(6);
});

test('calls go to the backends in turn', () => {
  const { latencies } = simulate({ stages: [stage()], replicas: [3], arrivals: [0, 0, 0, 0] });
  expect(latencies).toEqual([1, 1, 1, 2]);
});

test('failed calls are repeated', () => {
  const arrivals = poissonArrivals(0.01, 5000, 1);
  const { stages } = simulate({ stages: [stage({ retryRate: 0.2 })], replicas: [1], arrivals });
  expect(stages[0]!.busySeconds / arrivals.length).toBeCloseTo(1 / (1 - 0.2), 1);
});

test('starting backends serve no calls', () => {
  const cold = simulate({ stages: [stage({ startSeconds: 30 })], replicas: [2], arrivals: [0, 5, 40], cold: true });
  expect(cold.latencies).toEqual([31, 26, 1]);
  expect(cold.inProgress).toEqual([1, 2, 1]);
});

test('the same seed gives the same arrivals', () => {
  expect(poissonArrivals(2, 5, 1)).toEqual(poissonArrivals(2, 5, 1));
  expect(poissonArrivals(2, 5, 1)).not.toEqual(poissonArrivals(2, 5, 2));
  expect(poissonArrivals(2, 100_000, 1).at(-1)! / 50_000).toBeCloseTo(1, 1);
});
