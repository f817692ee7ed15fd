import { expect, test } from '@jest/globals';
import { goldenTensors, maxDifference } from '../testing/goldens.ts';
import { ancestral } from './ancestral.ts';
import type { SamplerOptions } from './sampler.ts';

const frameSize = 4 * 8 * 8;
const groupSize = 12 * 8 * 8;

async function expectPublishedSteps(name: string, options: SamplerOptions, timesteps: readonly number[]) {
  const golden = await goldenTensors(name);
  const sampler = ancestral(options);
  expect(timesteps.map((_, step) => sampler.timestep(step))).toEqual(timesteps);
  let latents = golden.get('noise_initial')!.data;
  for (let step = 0; step < options.steps; step++) {
    const at = (tensor: string) => golden.get(`${tensor}.${String(step).padStart(3, '0')}`)?.data;
    const next = sampler.step(step, { latents, history: undefined }, at('model_output')!, () => at('noise')!);
    const denoised = at('x_start');
    if (denoised) {
      expect(maxDifference(next.denoised, denoised)).toBeLessThan(1e-5);
    }
    // The next step starts from the published latents, so that differences do not add up.
    latents = at('latents')!;
    expect(maxDifference(next.latents, latents)).toBeLessThan(1e-5);
  }
  return { latents, golden };
}

test.each([
  ['sampler-keyframes-cosine10-null', 'cosine', 10, 'epsilon', frameSize],
  ['sampler-keyframes-cosine10-negative', 'cosine', 10, 'epsilon', frameSize],
  ['sampler-keyframes-linear25-null', 'linear', 25, 'epsilon', frameSize],
  ['sampler-keyframes-linear25-negative', 'linear', 25, 'epsilon', frameSize],
  ['sampler-interpolation-medium', 'cosine', 8, 'v', groupSize],
  ['sampler-interpolation-high', 'cosine', 4, 'v', groupSize],
] as const)('%s: every step is as published', async (name, schedule, steps, prediction, itemSize) => {
  const options = { schedule, steps, prediction, threshold: { itemSize, percentile: 0.98 } };
  const timesteps = Array.from({ length: steps }, (_, step) => (steps - 1 - step) * Math.floor(1000 / steps));
  const { latents, golden } = await expectPublishedSteps(name, options, timesteps);
  expect(maxDifference(latents, golden.get('final_latents')!.data)).toBe(0);
});

const schedule = 'cosine-zero-snr';

test.each([
  ['sampler-1.1-keyframes-10', 'epsilon', 'leading', frameSize, [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]],
  ['sampler-1.1-interpolation-10', 'v', 'trailing', groupSize, [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]],
] as const)('%s: every step is as published', async (name, prediction, spacing, itemSize, timesteps) => {
  await expectPublishedSteps(name, { schedule, steps: 10, spacing, prediction, threshold: { itemSize } }, timesteps);
});

test('noise can be predicted everywhere but at the level where nothing of the data is left', () => {
  const at = (steps: number, spacing: 'leading' | 'trailing') =>
    ancestral({ schedule, steps, spacing, prediction: 'epsilon', threshold: { itemSize: 1 } });
  const fault = '`steps` must be fewer than 1000 for ancestral sampling on the cosine-zero-snr schedule';
  expect(() => at(1000, 'leading')).toThrow(`${fault} (got 1000)`);
  expect(at(999, 'leading').timestep(0)).toBe(998);
  expect(() => at(0, 'leading')).toThrow('`steps` must be a whole number from 1 to 1000 (got 0)');
});
