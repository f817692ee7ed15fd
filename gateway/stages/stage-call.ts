import { setTimeout as pause } from 'node:timers/promises';
import type { CompatServiceDefinition } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { type Connection, noConnection } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';

/** A stage of the mesh, as its callers know it. */
export interface Stage<D extends CompatServiceDefinition = CompatServiceDefinition> {
  client: Connection<D>['client'];
  connected: Connection<D>['connected'];
  /** Both are named in errors. */
  name: string;
  address: string;
  /** A call that brings nothing for so long is ended, seconds. However long it lasts, one that moves on is left alone. */
  progressTimeoutSeconds: number;
  /** Called with a reason when the stage has no available replica, and with `undefined` once it has one. */
  onWait?(reason: string | undefined): void;
}

/** What errors and bounds need of a stage. */
export type AnyStage = Omit<Stage, 'client'>;

/**
 * What a stage's stream brings; one that brings nothing for too long is ended: DEADLINE_EXCEEDED. Time that the reader
 * takes does not count. The call reaches the stage once: whether the stage is tried again is decided for the job as a whole.
 * As long as nobody serves the stage the call waits, see {@link whenServed}.
 */
export async function* watchedStream<T>(
  stage: AnyStage,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const wait = whenServed(stage, signal);
  for (;;) {
    try {
      yield* boundedStream(stage, open, signal);
      return;
    } catch (error) {
      await wait(error);
    }
  }
}

/** A stage's single answer. The call waits as {@link watchedStream} does. */
export async function watchedCall<T>(stage: AnyStage, call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const wait = whenServed(stage, signal);
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await wait(error);
    }
  }
}

/** Between two looks for who serves a stage, milliseconds: one who is found may be gone when the call is made. */
const lookMilliseconds = 100;

/**
 * What to do after a call that failed: when nobody was there to take it, as with a stage that is scaled to zero or being
 * replaced, it resolves as soon as somebody is. That may last as long as a stage may bring no progress; then, and for
 * every other failure, it throws.
 */
function whenServed(stage: AnyStage, signal: AbortSignal): (thrown: unknown) => Promise<void> {
  const { progressTimeoutSeconds, connected, onWait } = stage;
  let waitsUntil: number | undefined;
  return async (thrown) => {
    const error = toFusionError(thrown);
    if (error.reason !== noConnection) {
      throw thrown;
    }
    waitsUntil ??= performance.now() + progressTimeoutSeconds * 1000;
    onWait?.(error.message);
    const patience = timeLimit(waitsUntil - performance.now(), signal);
    try {
      await pause(lookMilliseconds, undefined, { signal: patience.signal });
      await connected(patience.signal);
    } catch (aborted) {
      if (!patience.isOver) {
        throw aborted;
      }
      const problem = `${error.message}; no replica has served it for ${progressTimeoutSeconds} seconds`;
      throw new FusionError(Status.UNAVAILABLE, problem, { reason: 'STAGE_NOT_SERVED', cause: error });
    } finally {
      patience.end();
    }
    onWait?.(undefined);
  };
}

async function* boundedStream<T>(
  { name, address, progressTimeoutSeconds }: AnyStage,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const silent = new AbortController();
  const messages = open(AbortSignal.any([signal, silent.signal]))[Symbol.asyncIterator]();
  const next = async () => {
    const timer = setTimeout(() => silent.abort(), progressTimeoutSeconds * 1000);
    try {
      return await messages.next();
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    for (let message = await next(); !message.done; message = await next()) {
      yield message.value;
    }
  } catch (error) {
    if (silent.signal.aborted && !signal.aborted) {
      throw new FusionError(
        Status.DEADLINE_EXCEEDED,
        `${name} at ${address}: no progress for ${progressTimeoutSeconds} seconds`,
        { reason: 'NO_PROGRESS', cause: error },
      );
    }
    throw error;
  } finally {
    await messages.return?.();
  }
}

/** A stage's answer is not what its contract says: INTERNAL, never the fault of who asked for the video. */
export function invalidResponse({ name, address }: AnyStage, problem: string): FusionError {
  return new FusionError(Status.INTERNAL, `${name} at ${address} answered ${problem}`, { reason: 'INVALID_RESPONSE' });
}
