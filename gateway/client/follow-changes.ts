import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { isAbortError, toFusionError } from '../../services/kit/errors.ts';

/** How long a gateway may be away before its job is given up, milliseconds: a restart with what it has to open. */
const maxAbsence = 60_000;

const pause = 500;

/** One change of a job. */
export interface Change<V> {
  video: V;
  /** Names the change: what comes after it is asked for with it. */
  token: string;
}

/**
 * Every change of a job, from what it is now to its end, once and in order, also across a gateway's restart. Throws
 * UNAVAILABLE when the gateway is away for more than a minute.
 *
 * @param changesAfter asks for the changes after a token; an empty one stands for what the job is now. What it gives ends
 *   when the job has ended and throws UNAVAILABLE when it breaks off before.
 */
export async function* followChanges<V>(
  changesAfter: (token: string) => AsyncIterable<Change<V>>,
  signal?: AbortSignal,
): AsyncGenerator<V> {
  let token = '';
  let absentSince: number | undefined;
  for (;;) {
    const began = Date.now();
    try {
      for await (const change of changesAfter(token)) {
        ({ token } = change);
        yield change.video;
        absentSince = undefined;
      }
      return;
    } catch (error) {
      const passing = !isAbortError(error) && toFusionError(error).code === Status.UNAVAILABLE;
      // A job that waits brings no news: what lasted was a connection.
      absentSince = Date.now() - began > maxAbsence ? Date.now() : (absentSince ?? Date.now());
      if (!passing || Date.now() - absentSince > maxAbsence) {
        throw error;
      }
      await delay(pause, undefined, signal ? { signal } : {});
    }
  }
}
