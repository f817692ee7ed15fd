import { describe, expect, test } from '@jest/globals';
import {
  type PredictionType,
  predictionTypes,
  type SamplerName,
  type ScheduleName,
  samplerNames,
} from '../../pipeline/preset.ts';
import { normalNoise } from '../noise.ts';
import { analyticModel, type Component, levelOfTimestep } from '../testing/analytic-model.ts';
import { sampleWith } from '../testing/sample-with.ts';
import { createSampler } from './create-sampler.ts';
import type { Sampler } from './sampler.ts';

const itemSize = 200;
const gaussian: Component[] = [{ weight: 1, mean: 0.3, deviation: 0.1 }];
const twoPeaks: Component[] = [
  { weight: 0.4, mean: -0.6, deviation: 0.08 },
  { weight: 0.6, mean: 0.5, deviation: 0.15 },
];

interface Run {
  name: SamplerName;
  steps: number;
  mixture: Component[];
  schedule?: ScheduleName;
  prediction?: PredictionType;
  items?: number;
}

function makeSampler({ name, steps, schedule = 'cosine', prediction = 'epsilon' }: Run): Sampler {
  return createSampler(name, { schedule, steps, prediction, threshold: { itemSize, percentile: 0.98 } });
}

function draw(step: number, items: number): Float32Array {
  return normalNoise({ seed: 11n, purpose: 0, draw: step }, 0, items * itemSize);
}

/** Samples with a model that knows the data. */
function run(options: Run): Float32Array {
  const { name, steps, mixture, schedule = 'cosine', prediction = 'epsilon', items = 4 } = options;
  const model = analyticModel(mixture, prediction);
  const level = levelOfTimestep(name, schedule, steps);
  return sampleWith(
    makeSampler(options),
    (latents, timestep) => model(latents, level(timestep)),
    (index) => draw(index, items),
  );
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(mean(values.map((value) => value ** 2)));
}

function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value - b[i]!);
}

describe.each(samplerNames)('%s', (name) => {
  describe.each(predictionTypes)('with a prediction of %s', (prediction) => {
    test.each([1, 2, 5, 30])('finds data concentrated in one point in %i steps', (steps) => {
      const values = run({ name, steps, prediction, mixture: [{ weight: 1, mean: -0.4, deviation: 0 }] });
      // Exact except for rounding, which a tiny √ᾱ magnifies.
      expect(Math.max(...values.map((value) => Math.abs(value + 0.4)))).toBeLessThan(1e-4);
    });

    test('reaches the distribution of the data', () => {
      const values = run({ name, steps: 200, prediction, mixture: gaussian, items: 10 });
      expect(mean(values)).toBeCloseTo(0.3, 2);
      const spread = rootMeanSquare(values.map((value) => value - 0.3));
      expect(Math.abs(spread / 0.1 - 1)).toBeLessThan(0.1);
    });

    test('reaches both peaks of a mixture in their proportion', () => {
      const values = run({ name, steps: 100, prediction, mixture: twoPeaks, items: 10 });
      const left = values.filter((value) => value < -0.1);
      expect(left.length / values.length).toBeCloseTo(0.4, 1);
      expect(mean(left)).toBeCloseTo(-0.6, 1);
      expect(mean(values.filter((value) => value >= -0.1))).toBeCloseTo(0.5, 1);
    });
  });

  test.each([1, 2, 3, 21, 995, 996, 997, 1000])('%i steps go down from the noise and stay finite', (steps) => {
    const sampler = makeSampler({ name, steps, mixture: gaussian });
    const timesteps = Array.from({ length: steps }, (_, step) => sampler.timestep(step));
    expect(timesteps.every((timestep) => timestep >= 0 && timestep < 1000)).toBe(true);
    expect(timesteps.every((timestep, i) => i === 0 || timestep < timesteps[i - 1]!)).toBe(true);
    const latents = draw(0, 1);
    const values = sampleWith(
      sampler,
      () => latents,
      () => latents,
    );
    expect(values.every(Number.isFinite)).toBe(true);
  });

  test('a network that returns nonsense still yields values in range', () => {
    const sampler = makeSampler({ name, steps: 8, mixture: gaussian });
    let step = 0;
    const values = sampleWith(
      sampler,
      () => draw(100 + step++, 2).map((value) => 1000 * value),
      (index) => draw(index, 2),
    );
    expect(values.every((value) => Math.abs(value) <= 1)).toBe(true);
  });

  test('videos stepped together or apart give the same bytes', () => {
    const together = run({ name, steps: 6, mixture: twoPeaks, items: 3 });
    const apart = run({ name, steps: 6, mixture: twoPeaks, items: 1 });
    expect([...together.subarray(0, itemSize)]).toEqual([...apart]);
  });

  test('a step keeps no state and does not modify its inputs', () => {
    const sampler = makeSampler({ name, steps: 4, mixture: gaussian });
    const first = sampler.step(0, { latents: draw(0, 1), history: sampler.start }, draw(50, 1), () => draw(1, 1));
    const before = structuredClone(first);
    const modelOutput = draw(51, 1);
    const once = sampler.step(1, first, modelOutput, () => draw(2, 1));
    const again = makeSampler({ name, steps: 4, mixture: gaussian }).step(1, before, modelOutput, () => draw(2, 1));
    expect(first).toEqual(before);
    expect(again).toEqual(once);
  });

  test.each([0, 1001, 2.5])('refuses %s steps', (steps) => {
    expect(() => makeSampler({ name, steps, mixture: gaussian })).toThrow(`(got ${steps})`);
  });
});

describe('the linear schedule', () => {
  test.each(['ddim', 'dpm-solver++', 'unipc'] as const)('%s takes any number of steps', (name) => {
    for (const steps of [1, 5, 20, 100]) {
      const values = run({ name, steps, schedule: 'linear', mixture: gaussian, items: 1 });
      expect(values.every(Number.isFinite)).toBe(true);
    }
  });

  test('ancestral needs 21 steps', () => {
    const values = run({ name: 'ancestral', steps: 21, schedule: 'linear', mixture: gaussian, items: 1 });
    expect(values.every(Number.isFinite)).toBe(true);
    expect(() => makeSampler({ name: 'ancestral', steps: 20, schedule: 'linear', mixture: gaussian })).toThrow(
      '`steps` must be at least 21 for ancestral sampling on the linear schedule (got 20)',
    );
  });
});

describe.each(['cosine', 'linear'] as const)('few steps on the %s schedule', (schedule) => {
  /** Distance from where the exact solution of the same noise ends, in deviations of the data. */
  function solverError(name: SamplerName, steps: number, mixture: Component[]): number {
    const exact = run({ name: 'dpm-solver++', steps: 300, schedule, mixture });
    const spread = rootMeanSquare(exact.map((value) => value - mean(exact)));
    return rootMeanSquare(difference(run({ name, steps, schedule, mixture }), exact)) / spread;
  }

  test.each([
    ['one peak', gaussian],
    ['two peaks', twoPeaks],
  ])('DPM-Solver++ is nearer to the exact solution than DDIM at 15 and 20 steps: %s', (_, mixture) => {
    for (const steps of [15, 20]) {
      expect(solverError('dpm-solver++', steps, mixture)).toBeLessThan(solverError('ddim', steps, mixture));
    }
    expect(solverError('dpm-solver++', 20, mixture)).toBeLessThan(0.06);
  });
});
