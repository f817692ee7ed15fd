import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import type { ErrorReason } from '../../../services/kit/error-reasons.ts';
import { FusionError, toFusionError } from '../../../services/kit/errors.ts';
import { retryAfter } from './retry-policy.ts';

const none = { passingFailures: 0, faults: 0 };

function again(code: Status, reason?: ErrorReason, tries = none) {
  return retryAfter(new FusionError(code, 'test', reason === undefined ? {} : { reason }), tries, 3)?.tries;
}

test('a stage whose backend fails or stalls is restarted once', () => {
  const once = { passingFailures: 0, faults: 1 };
  expect(again(Status.INTERNAL)).toEqual(once);
  expect(again(Status.DEADLINE_EXCEEDED, 'NO_PROGRESS')).toEqual(once);
  expect(again(Status.INTERNAL, undefined, once)).toBeUndefined();
  expect(again(Status.DEADLINE_EXCEEDED, 'NO_PROGRESS', once)).toBeUndefined();
  // It would be the same anywhere.
  expect(again(Status.INTERNAL, 'PREDICTION_NOT_FINITE')).toBeUndefined();
  expect(again(Status.INTERNAL, 'JOB_CRASHES_GATEWAYS')).toBeUndefined();
});

test('transient failures are retried up to the limit, failures caused by the request never', () => {
  for (const code of [Status.UNAVAILABLE, Status.ABORTED, Status.CANCELLED]) {
    expect(again(code)).toEqual({ passingFailures: 1, faults: 0 });
    expect(again(code, undefined, { passingFailures: 2, faults: 0 })).toBeUndefined();
  }
  const shortage = toFusionError(Object.assign(new Error('too many open files'), { code: 'EMFILE' }));
  expect(retryAfter(shortage, none, 3)?.tries).toEqual({ passingFailures: 1, faults: 0 });
  expect(again(Status.INVALID_ARGUMENT)).toBeUndefined();
  expect(again(Status.RESOURCE_EXHAUSTED)).toBeUndefined();
  expect(again(Status.RESOURCE_EXHAUSTED, 'TOO_MANY_CALLS')).toEqual({ passingFailures: 1, faults: 0 });
  expect(again(Status.UNAVAILABLE, 'STAGE_NOT_SERVED')).toBeUndefined();
});
