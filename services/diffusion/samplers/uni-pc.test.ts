import { expect, test } from '@jest/globals';
import { normalNoise } from '../noise.ts';
import { analyticModel, type Component, levelOfTimestep } from '../testing/analytic-model.ts';
import { maxDifference } from '../testing/goldens.ts';
import { sampleWith } from '../testing/sample-with.ts';
import { ddim } from './ddim.ts';
import { dpmSolverPlusPlus2M } from './dpm-solver-plus-plus-2m.ts';
import type { Sampler, SamplerOptions } from './sampler.ts';
import { uniPc } from './uni-pc.ts';

const threshold = { itemSize: 200, percentile: 0.98 };
const onePeak: Component[] = [{ weight: 1, mean: 0.1, deviation: 0.25 }];
const twoPeaks: Component[] = [
  { weight: 0.4, mean: -0.6, deviation: 0.08 },
  { weight: 0.6, mean: 0.5, deviation: 0.15 },
];

type Make = (options: SamplerOptions) => Sampler;
const second: Make = (options) => uniPc(options, 2);
const third: Make = (options) => uniPc(options, 3);

function solve(make: Make, steps: number, mixture: Component[]): Float32Array {
  const model = analyticModel(mixture, 'v');
  const level = levelOfTimestep('unipc', 'cosine', steps);
  return sampleWith(
    make({ schedule: 'cosine', steps, prediction: 'v', threshold }),
    (latents, timestep) => model(latents, level(timestep)),
    (index) => normalNoise({ seed: 11n, purpose: 0, draw: index }, 0, 400),
  );
}

const exactSolutions = new Map([onePeak, twoPeaks].map((mixture) => [mixture, solve(third, 200, mixture)]));

/** Root mean square distance from many steps of the highest order. */
function solverError(make: Make, steps: number, mixture: Component[]): number {
  const exact = exactSolutions.get(mixture)!;
  const found = solve(make, steps, mixture);
  return Math.sqrt(found.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0) / found.length);
}

/** p of an error that shrinks with the step size h as h^p. */
function convergenceOrder(make: Make): number {
  return Math.log2(solverError(make, 20, onePeak) / solverError(make, 40, onePeak));
}

test('the corrector lifts the order by one', () => {
  expect(convergenceOrder(dpmSolverPlusPlus2M)).toBeCloseTo(2, 0);
  expect(convergenceOrder(second)).toBeCloseTo(3, 0);
  expect(convergenceOrder(third)).toBeGreaterThan(2.8);
  expect(solverError(third, 40, onePeak)).toBeLessThan(solverError(second, 40, onePeak) / 5);
});

test.each([10, 15, 20])('%i steps are nearer to two peaks than with DPM-Solver++', (steps) => {
  expect(solverError(second, steps, twoPeaks)).toBeLessThan(solverError(dpmSolverPlusPlus2M, steps, twoPeaks));
});

test.each([
  ['second', second],
  ['third', third],
])('one step of %s order is the one of first order', (_, make) => {
  expect(solve(make, 1, twoPeaks)).toEqual(solve(ddim, 1, twoPeaks));
});

test('before its first correction it is DPM-Solver++', () => {
  const options = { schedule: 'cosine', steps: 4, prediction: 'sample', threshold } as const;
  const [latents, answer] = [0, 1].map((draw) => normalNoise({ seed: 5n, purpose: 0, draw }, 0, 200));
  const first = (make: Make) => {
    const sampler = make(options);
    return sampler.step(0, { latents: latents!, history: sampler.start }, answer!, () => latents!).latents;
  };
  expect(maxDifference(first(second), first(dpmSolverPlusPlus2M))).toBeLessThan(1e-6);
});
