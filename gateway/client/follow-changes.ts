import { setTimeout as delay } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { isAbortError, toFusionError } from '../../services/kit/errors.ts';

/** How long a gateway may be away, milliseconds: enough for a restart. */
const maxAbsence = 60_000;

const pause = 500;

/** One change of a job. */
export interface Change<V> {
  video: V;
  /** Resumes after this change. */
  token: string;
}

/**
 * Every change of a job, from its current state to its end, once and in order, even across a restart of the gateway. Throws
 * UNAVAILABLE when the gateway is away for more than a minute.
 *
 * @param changesAfter requests the changes after a token; an empty one starts with the current state. Ends with the job, and
 *   throws UNAVAILABLE if it breaks off before.
 */
export async function* followChanges<V>(
  changesAfter: (token: string) => AsyncIterable<Change<V>>,
  { signal, onAbsence }: { signal?: AbortSignal | undefined; onAbsence?: (() => void) | undefined } = {},
): AsyncGenerator<V> {
  let token = '';
  let absentSince: number | undefined;
  let isAbsent = false;
  for (;;) {
    const began = Date.now();
    try {
      for await (const change of changesAfter(token)) {
        ({ token } = change);
        yield change.video;
        absentSince = undefined;
        isAbsent = false;
      }
      return;
    } catch (error) {
      const passing = !isAbortError(error) && toFusionError(error).code === Status.UNAVAILABLE;
      // A waiting job has no changes, so a call that lasted counts as a connection.
      absentSince = Date.now() - began > maxAbsence ? Date.now() : (absentSince ?? Date.now());
      if (!passing || Date.now() - absentSince > maxAbsence) {
        throw error;
      }
      if (!isAbsent) {
        isAbsent = true;
        onAbsence?.();
      }
      await delay(pause, undefined, signal ? { signal } : {});
    }
  }
}
