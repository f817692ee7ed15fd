import { expect, test } from '@jest/globals';
import { goldenTensors, maxDifference } from '../testing/goldens.ts';
import { ancestral } from './ancestral.ts';

const frameSize = 4 * 8 * 8;
const groupSize = 12 * 8 * 8;

test.each([
  ['sampler-keyframes-cosine10-null', 'cosine', 10, 'epsilon', frameSize],
  ['sampler-keyframes-cosine10-negative', 'cosine', 10, 'epsilon', frameSize],
  ['sampler-keyframes-linear25-null', 'linear', 25, 'epsilon', frameSize],
  ['sampler-keyframes-linear25-negative', 'linear', 25, 'epsilon', frameSize],
  ['sampler-interpolation-medium', 'cosine', 8, 'v', groupSize],
  ['sampler-interpolation-high', 'cosine', 4, 'v', groupSize],
] as const)('%s: every step is as published', async (name, schedule, steps, prediction, itemSize) => {
  const golden = await goldenTensors(name);
  const sampler = ancestral({ schedule, steps, prediction, threshold: { itemSize, percentile: 0.98 } });
  let latents = golden.get('noise_initial')!.data;
  for (let step = 0; step < steps; step++) {
    const at = (tensor: string) => golden.get(`${tensor}.${String(step).padStart(3, '0')}`)?.data;
    const next = sampler.step(step, { latents, history: undefined }, at('model_output')!, () => at('noise')!);
    const denoised = at('x_start');
    if (denoised) {
      expect(maxDifference(next.denoised, denoised)).toBeLessThan(1e-5);
    }
    // The next step starts from the published latents, so that differences do not add up.
    latents = at('latents')!;
    expect(maxDifference(next.latents, latents)).toBeLessThan(1e-5);
    expect(sampler.timestep(step)).toBe((steps - 1 - step) * Math.floor(1000 / steps));
  }
  expect(maxDifference(latents, golden.get('final_latents')!.data)).toBe(0);
});
