import { setTimeout as pause } from 'node:timers/promises';
import type { CompatServiceDefinition } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import type { ConnectedClient } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { add } from '../../services/kit/telemetry/metrics.ts';

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

/** What a replica that dies or drains leaves its callers with. */
const passing: readonly Status[] = [Status.UNAVAILABLE, Status.CANCELLED];

/** Waits before the second and later attempts, milliseconds: as patient as the kit's `repeatable`, which is for unary calls. */
const pauses = [100, 200, 400, 800, 1000, 1000];

/**
 * What a stage's stream brings. Stages are idempotent, so a stream that breaks off because its replica is gone is opened
 * again and brings everything from the beginning once more. Throws DEADLINE_EXCEEDED when the stage falls silent, and
 * whatever the last attempt threw.
 */
export async function* repeatedStream<T>(
  stage: AnyStage,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  for (const wait of [...pauses, undefined]) {
    try {
      yield* endSilence(stage, open, signal);
      return;
    } catch (thrown) {
      if (wait === undefined || signal.aborted || !passing.includes(toFusionError(thrown).code)) {
        throw thrown;
      }
      add('fusionframes.retries', 1, {
        'fusionframes.stage': stage.name,
        'rpc.response.status_code': toFusionError(thrown).codeName,
      });
      await pause(wait, undefined, { signal });
    }
  }
}

/** Ends a stream that brings nothing for too long. Time that the reader takes does not count. */
async function* endSilence<T>(
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
