import { expect, test } from '@jest/globals';
import type { FusionError } from '../../services/kit/errors.ts';
import { findReplicas, settled } from './find-replicas.ts';
import { percentile } from './simulate.ts';
import type { StageLoad } from './stage-load.ts';

function stage(name: string, seconds: number): StageLoad {
  const calls = [{ times: 10, items: 1, secondsOf: (items: number) => (seconds * items) / 10 }];
  return { stage: name, calls, maxBatchSize: 1, startSeconds: 0, outsideSeconds: 0, retryRate: 0, hasSteps: true };
}

const stages = [stage('short', 0.5), stage('long', 8)];

test('a low rate needs one backend per stage; a high one as many as the work requires, and few more', () => {
  expect(findReplicas(stages, 0.001, undefined).replicas).toEqual([1, 1]);
  const { replicas, result, alone } = findReplicas(stages, 1, undefined);
  expect(alone).toEqual([expect.closeTo(0.5), expect.closeTo(8)]);
  expect(replicas[1]).toBeGreaterThanOrEqual(8);
  expect(replicas[1]).toBeLessThan(16);
  expect(replicas[0]).toBeLessThanOrEqual(2);
  expect(percentile(settled(result.latencies), 0.95)).toBeLessThanOrEqual(17);
});

test('a stricter latency takes more backends', () => {
  const total = (latency: number) => findReplicas(stages, 1, latency).replicas.reduce((sum, count) => sum + count);
  expect(total(9.5)).toBeGreaterThan(total(20));
});

test.each([
  [8, 1, /^`--p95` must be more than 8\.5, the seconds of a video alone \(got 8\)$/],
  [undefined, 100, /^--rate: long needs more than 200 backends/],
])('a plan that is not possible is refused: latency %s, rate %s', (latency, rate, message) => {
  let thrown: FusionError | undefined;
  try {
    findReplicas(stages, rate, latency);
  } catch (error) {
    thrown = error as FusionError;
  }
  expect(thrown?.message).toMatch(message);
});
