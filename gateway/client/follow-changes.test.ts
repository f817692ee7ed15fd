import { expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { type Change, followChanges } from './follow-changes.ts';

test('an absence is reported once, and the changes continue after the last one', async () => {
  const tokens: string[] = [];
  async function* changesAfter(token: string): AsyncGenerator<Change<number>> {
    tokens.push(token);
    if (tokens.length === 1) {
      yield { video: 1, token: 'one' };
    }
    if (tokens.length < 4) {
      throw new FusionError(Status.UNAVAILABLE, 'away');
    }
    yield { video: 2, token: 'two' };
  }
  let absences = 0;
  const seen: number[] = [];
  for await (const video of followChanges(changesAfter, { onAbsence: () => absences++ })) {
    seen.push(video);
  }
  expect([seen, tokens, absences]).toEqual([[1, 2], ['', 'one', 'one', 'one'], 1]);
});
