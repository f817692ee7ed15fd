import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { abortable } from '../../services/kit/abortable.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { databaseError } from './database-error.ts';
import { Places } from './places.ts';

/** How long a caller waits for the database's answer, seconds. */
const answerSeconds = 5;

/** Connections that are left to everything else. */
const reservedConnections = 2;

/**
 * By client. Questions are handed to the driver only while it has connections for them: it never forgets a statement, and
 * would have them wait behind one that is not answered.
 */
const placesOf = new WeakMap<Sql, Places>();

/**
 * Asks the database on behalf of a waiting caller, once. Throws UNAVAILABLE when it does not answer in time, or
 * not at all; the statement may still have been applied. Its signal tells `query` that its caller
 * has given up: {@link transact} then commits nothing. Questions must not ask others: each has one of few places.
 */
export function ask<T>(sql: Sql, query: (signal: AbortSignal) => Promise<T>, seconds = answerSeconds): Promise<T> {
  const places = placesOf.get(sql) ?? new Places(Math.max(1, sql.options.max - reservedConnections));
  placesOf.set(sql, places);
  const inPlace = async (signal: AbortSignal) => {
    const leave = await places.enter(signal);
    return query(signal).finally(leave);
  };
  return answerWithin(seconds, inPlace);
}

/** What `query` gives; throws UNAVAILABLE when that takes too long or the database is away. */
export async function answerWithin<T>(seconds: number, query: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = timeLimit(seconds * 1000);
  try {
    return await abortable(limit.signal, query(limit.signal));
  } catch (error) {
    throw limit.isOver
      ? new FusionError(Status.UNAVAILABLE, `The database gave no answer within ${seconds} seconds`, {
          reason: 'DATABASE_UNAVAILABLE',
          cause: error,
        })
      : databaseError(error);
  } finally {
    limit.end();
  }
}
