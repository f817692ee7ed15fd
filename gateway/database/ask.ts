import { setTimeout as pause } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { databaseError } from './database-error.ts';

/** How long a caller may wait for an answer of the database, seconds. */
const answerSeconds = 5;

/**
 * Asks the database for somebody who waits: no second try. Throws UNAVAILABLE when it does not answer in time or at all;
 * the statement may then have had its effect all the same.
 */
export async function ask<T>(query: () => Promise<T>, seconds = answerSeconds): Promise<T> {
  const answered = new AbortController();
  const tooLate = pause(seconds * 1000, undefined, { signal: answered.signal }).then(() => {
    throw new FusionError(Status.UNAVAILABLE, `The database gave no answer within ${seconds} seconds`, {
      reason: 'DATABASE_UNAVAILABLE',
    });
  });
  tooLate.catch(() => {});
  try {
    return await Promise.race([query(), tooLate]);
  } catch (error) {
    throw databaseError(error);
  } finally {
    answered.abort();
  }
}
