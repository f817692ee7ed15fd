import { expect, test } from '@jest/globals';
import { type BatchRules, planBatch, type Waiting } from './plan-batch.ts';

const rules: BatchRules = { mayMerge: true, maxItems: 8, preferredItems: new Set([8]), maxDelay: 0 };

function waiting(...items: number[]): Waiting[] {
  return items.map((count) => ({ items: count, shapeKey: 'X:4', arrivedAt: 0 }));
}

test('without a delay all waiting requests that fit run together', () => {
  expect(planBatch(waiting(1, 2, 3), rules, 0)).toEqual({ requests: 3, wait: 0 });
  expect(planBatch(waiting(4, 3, 2), rules, 0)).toEqual({ requests: 2, wait: 0 });
});

test('with a delay an incomplete batch waits for its oldest request', () => {
  const patient = { ...rules, maxDelay: 10 };
  expect(planBatch(waiting(1, 2), patient, 4)).toEqual({ requests: 0, wait: 6 });
  expect(planBatch(waiting(1, 2), patient, 10)).toEqual({ requests: 2, wait: 0 });
  expect(planBatch(waiting(4, 4), patient, 0)).toEqual({ requests: 2, wait: 0 });
});

test('a batch that cannot grow does not wait', () => {
  const patient = { ...rules, maxDelay: 10 };
  expect(planBatch(waiting(4, 5), patient, 0)).toEqual({ requests: 1, wait: 0 });
  const shapes = [
    { items: 1, shapeKey: 'X:4', arrivedAt: 0 },
    { items: 1, shapeKey: 'X:5', arrivedAt: 0 },
  ];
  expect(planBatch(shapes, patient, 0)).toEqual({ requests: 1, wait: 0 });
});

test('a preferred size is run before a larger one', () => {
  const preferring = { ...rules, preferredItems: new Set([2, 4]), maxDelay: 10 };
  expect(planBatch(waiting(1, 1, 1), preferring, 0)).toEqual({ requests: 2, wait: 0 });
  expect(planBatch(waiting(1, 1, 1), preferring, 10)).toEqual({ requests: 3, wait: 0 });
  expect(planBatch(waiting(3, 3), preferring, 0)).toEqual({ requests: 1, wait: 0 });
});

test('without dynamic batching every request runs alone', () => {
  expect(planBatch(waiting(1, 1), { ...rules, mayMerge: false }, 0)).toEqual({ requests: 1, wait: 0 });
});
