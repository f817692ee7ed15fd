import type { CompatServiceDefinition } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import type { ConnectedClient } from '../../services/kit/channel.ts';
import { FusionError } from '../../services/kit/errors.ts';

/** A stage of the mesh, as its callers know it. */
export interface Stage<D extends CompatServiceDefinition = CompatServiceDefinition> {
  client: ConnectedClient<D>;
  /** Both are named in errors. */
  name: string;
  address: string;
  /** A call that brings nothing for so long is ended, seconds. However long it lasts, one that moves on is left alone. */
  progressTimeoutSeconds: number;
}

/** What errors and bounds need of a stage. */
export type AnyStage = Omit<Stage, 'client'>;

/**
 * What a stage's stream brings; one that brings nothing for too long is ended: DEADLINE_EXCEEDED. Time that the reader
 * takes does not count. The call is made once: whether the stage is tried again is decided for the job as a whole.
 */
export async function* watchedStream<T>(
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
export function wrongAnswer({ name, address }: AnyStage, problem: string): FusionError {
  return new FusionError(Status.INTERNAL, `${name} at ${address} answered ${problem}`, { reason: 'WRONG_ANSWER' });
}
