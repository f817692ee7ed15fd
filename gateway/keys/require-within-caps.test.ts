import { expect, test } from '@jest/globals';
import { anonymous } from './caller.ts';
import { requireWithinCaps } from './require-within-caps.ts';

const asked = { keyframeSteps: 50, interpolationSteps: 50, frames: 57, priority: 0 };
const caps = { ...anonymous.limits, maxSteps: 50, maxFrames: 57, maxPriority: 0 };

test('a key without caps may request anything, a key with caps only what they allow', () => {
  requireWithinCaps({ ...asked, keyframeSteps: 1000, priority: 100 }, anonymous.limits);
  requireWithinCaps(asked, caps);
});

test.each([
  [{ keyframeSteps: 51 }, 'keyframes.steps', '`keyframes.steps` must be at most 50 for this API key (got 51)'],
  [{ interpolationSteps: 51 }, 'interpolation.steps', 'at most 50'],
  [{ frames: 225 }, 'frame_rate', 'at most 57 frames for this API key (got 225)'],
  [{ priority: 1 }, 'priority', 'at most 0'],
])('a key with caps may not ask for %j', (more, field, message) => {
  let refusal: unknown;
  try {
    requireWithinCaps({ ...asked, ...more }, caps);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toMatchObject({
    codeName: 'PERMISSION_DENIED',
    reason: 'KEY_LIMIT',
    field,
    message: expect.stringContaining(message),
  });
});
