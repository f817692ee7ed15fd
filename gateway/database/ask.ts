import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { abortable } from '../../services/kit/abortable.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { databaseError } from './database-error.ts';
import { answerSeconds, currentPatience } from './patience.ts';
import { Places } from './places.ts';

/** Connections reserved for all other work. */
const reservedConnections = 2;

/**
 * Limits per client. A query reaches the driver only when a connection is free: the driver cannot cancel a queued
 * statement, so it would sit behind one that never gets an answer.
 */
const placesOf = new WeakMap<Sql, Places>();

/**
 * Runs a query once on behalf of a waiting caller. Throws UNAVAILABLE when the database does not answer in time; the
 * statement may still have been applied. The signal aborts when the caller has given up: {@link transact} then commits
 * nothing. Calls must not nest, because each holds one of a few slots.
 *
 * @param seconds default: those of {@link answerInTime}
 */
export function ask<T>(sql: Sql, query: (signal: AbortSignal) => Promise<T>, seconds?: number): Promise<T> {
  const places = placesOf.get(sql) ?? new Places(Math.max(1, sql.options.max - reservedConnections));
  placesOf.set(sql, places);
  const inPlace = async (signal: AbortSignal) => {
    const leave = await places.enter(signal);
    return query(signal).finally(leave);
  };
  return seconds === undefined ? answerInTime(inPlace) : answerWithin(seconds, inPlace);
}

/** {@link answerWithin} the time that the current request has left, or the usual time outside of one. */
export async function answerInTime<T>(query: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const patience = currentPatience();
  const end = patience?.beginWait();
  try {
    return await answerWithin(patience?.seconds ?? answerSeconds, query, patience?.left);
  } finally {
    end?.();
  }
}

/**
 * Resolves with the result of `query`; throws UNAVAILABLE when it takes too long or the database is unreachable.
 *
 * @param left milliseconds of these seconds that are left
 */
export async function answerWithin<T>(
  seconds: number,
  query: (signal: AbortSignal) => Promise<T>,
  left = seconds * 1000,
): Promise<T> {
  const limit = timeLimit(left);
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
