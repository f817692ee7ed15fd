import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { toFusionError } from './errors.ts';

test('the message of a foreign error is shortened: a library may quote a whole picture', () => {
  const error = toFusionError(new Error(`Unsupported input '${'255,'.repeat(50_000)}'`));
  expect(error.code).toBe(Status.INTERNAL);
  expect(error.message).toMatch(/^Unsupported input '255,255/);
  expect(error.message).toHaveLength(2000);
});
