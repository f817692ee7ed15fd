import { describe, expect, test } from '@jest/globals';
import { alphasCumprod, betaSchedule, posteriorTables } from './schedule.ts';
import { goldenTensors, maxDifference } from './testing/goldens.ts';

const golden = await goldenTensors('schedule-tables');

describe.each([
  { schedule: 'cosine', steps: 50 },
  { schedule: 'cosine', steps: 10 },
  { schedule: 'linear', steps: 50 },
  { schedule: 'linear', steps: 25 },
] as const)('$schedule schedule of $steps steps', ({ schedule, steps }) => {
  const tables = posteriorTables(schedule, steps);
  test.each([
    ['betas', betaSchedule(schedule, steps)],
    ['alphas_cumprod', alphasCumprod(betaSchedule(schedule, steps))],
    ['sqrt_alphas_cumprod', tables.sqrtAlphasCumprod],
    ['sqrt_one_minus_alphas_cumprod', tables.sqrtOneMinusAlphasCumprod],
    ['posterior_mean_coef_1', tables.meanCoefficient1],
    ['posterior_mean_coef_2', tables.meanCoefficient2],
    ['posterior_log_variance', tables.logVariance],
  ])('%s is as published', (name, values) => {
    expect(maxDifference(values, golden.get(`${schedule}${steps}.${name}`)!.data)).toBeLessThan(1e-6);
  });
});

test("Kandinsky Video 1.1's schedule is as published", async () => {
  const published = await goldenTensors('schedule-tables-1.1');
  const betas = betaSchedule('cosine-zero-snr', 1000);
  expect(maxDifference(betas, published.get('betas')!.data)).toBeLessThan(1e-4);
  expect(maxDifference(alphasCumprod(betas), published.get('alphas_cumprod')!.data)).toBeLessThan(1e-6);
  expect(alphasCumprod(betas).at(-1)).toBe(0);
});

test.each([0, -1, 1.5, 1001, Number.NaN])('%s steps are refused', (steps) => {
  expect(() => betaSchedule('cosine', steps)).toThrow(`\`steps\` must be a whole number from 1 to 1000 (got ${steps})`);
});

test.each([1, 20])('the linear schedule is refused at %i steps, where it divides by zero', (steps) => {
  expect(() => posteriorTables('linear', steps)).toThrow(
    `\`steps\` must be at least 21 for ancestral sampling on the linear schedule (got ${steps})`,
  );
});
