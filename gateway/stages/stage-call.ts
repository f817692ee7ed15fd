import { setTimeout as pause } from 'node:timers/promises';
import type { CompatServiceDefinition } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import type { ModelServiceDefinition } from '../../proto/gen/fusionframes/v1/model.ts';
import type { ConnectedClient, Connection } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { noConnection } from '../../services/kit/no-connection.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';

/** A stage of the mesh, as its caller sees it. */
export interface Stage<D extends CompatServiceDefinition = CompatServiceDefinition> {
  client: Connection<D>['client'];
  /** Names the stage's model. */
  models: ConnectedClient<ModelServiceDefinition>;
  connected: Connection<D>['connected'];
  /** Both appear in errors. */
  name: string;
  address: string;
  /** Seconds without a message after which a call is ended. A call that makes progress may last any time. */
  progressTimeoutSeconds: number;
  /** Called with a reason when the stage has no available replica, and with `undefined` once it has one. */
  onWait?(reason: string | undefined): void;
}

/** The part of a stage that errors and limits need. */
export type AnyStage = Omit<Stage, 'client' | 'models'>;

/**
 * Reads a stage's stream; ends it with DEADLINE_EXCEEDED if it is silent for too long, not counting the reader's own
 * time. The call reaches the stage at most once: retries are decided for the job as a whole. While no replica of the
 * stage is available, the call waits, see {@link whenServed}.
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

/** Makes a unary call to a stage. It waits like {@link watchedStream}. */
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

/** Interval of checks for a replica, in milliseconds: one that is found may be gone when the call is made. */
const lookMilliseconds = 100;

/**
 * Handles a failed call: if no replica was available (the stage is scaled to zero or being replaced), resolves once
 * there is one. Throws if that takes longer than a stage may be silent, and for every other failure.
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

/** A stage's response violates its contract: INTERNAL, never the caller's fault. */
export function invalidResponse({ name, address }: AnyStage, problem: string): FusionError {
  return new FusionError(Status.INTERNAL, `${name} at ${address} answered ${problem}`, { reason: 'INVALID_RESPONSE' });
}
