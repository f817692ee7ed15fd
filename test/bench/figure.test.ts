import { expect, test } from '@jest/globals';
import { exponentOf, meetsGoal } from './figure.ts';
import { pageOf } from './page.ts';

const growth = (cost: (size: number) => number) => ({
  what: 'work',
  grows: 'frames',
  costs: 'seconds',
  points: [15, 57, 225].map((size) => ({ size, cost: cost(size), mebibytes: 100 })),
});

test.each([0, 1, 2])('a cost that grows with the power %d has that exponent', (power) => {
  expect(exponentOf(growth((size) => 3 * size ** power))).toBeCloseTo(power, 10);
});

test('a goal is a largest or a smallest value', () => {
  const met = [
    { value: 1.08, goal: { most: 1.08 } },
    { value: 1.09, goal: { most: 1.08 } },
    { value: 4.9, goal: { least: 5 } },
    { value: 4.9 },
  ].map((figure) => meetsGoal({ what: '', ...figure }));
  expect(met).toEqual([true, false, false, undefined]);
});

test('the page shows figures and growth, and escapes their names', () => {
  const page = pageOf({
    machine: { processor: 'a <processor>', cores: 2, node: 'v20', system: 'linux x64' },
    rows: {
      row: {
        at: '2026-11-29T00:00:00.000Z',
        load: 1,
        rounds: 3,
        figures: [{ what: 'a & b', value: 1.2345, goal: { most: 1 } }],
        growths: [growth((size) => size)],
      },
    },
  });
  expect(page).toContain('a &lt;processor>');
  expect(page).toContain('a &amp; b');
  expect(page).toContain('class="missed"');
  expect(page).toContain('exponent 1.00; dashed: memory, 100, 100, 100 MiB');
});
