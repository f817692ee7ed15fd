import { expect, test } from '@jest/globals';
import { queueLevels } from './queue-level.ts';

test.each([
  [1, [1, 1, 1, 0, 1, 1, 1, 0]],
  [100, [1, 1, 1, 0, 1, 1, 1, 0]],
  [0, [0, 0, 0, 0, 0, 0, 0, 0]],
  [-100, [0, 0, 0, 0, 0, 0, 0, 0]],
])('requests of a video of priority %s', (priority, levels) => {
  const next = queueLevels(priority);
  expect(levels.map(next)).toEqual(levels);
});
