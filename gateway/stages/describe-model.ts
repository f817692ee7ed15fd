import { Status } from 'nice-grpc-common';
import { repeatable } from '../../services/kit/channel.ts';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { noConnection } from '../../services/kit/no-connection.ts';
import { type Stage, watchedCall } from './stage-call.ts';

/** Longest that a stage may take to name its model, milliseconds. */
const deadline = 10_000;

/**
 * Names the model behind a stage, see `ModelService` in the contract; undefined if the stage does not know it or is of
 * the previous release. Waits for a replica like every call to a stage.
 */
export function describeModel(stage: Stage, signal: AbortSignal): Promise<string | undefined> {
  return ask(() => watchedCall(stage, () => call(stage, signal), signal));
}

/** The same without waiting: also undefined while the stage has no replica. */
export function describeModelNow(stage: Stage, signal: AbortSignal): Promise<string | undefined> {
  return ask(() =>
    call(stage, signal).catch((error) => {
      if (toFusionError(error).reason === noConnection) {
        return { model: '' };
      }
      throw error;
    }),
  );
}

function call({ models }: Stage, signal: AbortSignal): Promise<{ model: string }> {
  return models.describeModel({}, { ...repeatable, deadline, signal });
}

async function ask(call: () => Promise<{ model: string }>): Promise<string | undefined> {
  try {
    return (await call()).model || undefined;
  } catch (thrown) {
    const { code, message } = toFusionError(thrown);
    if (code === Status.UNIMPLEMENTED) {
      return undefined;
    }
    // Any replica answers this at once unless it, or the way to it, is down: unlike a stage that stalls at its work.
    throw code === Status.DEADLINE_EXCEEDED ? new FusionError(Status.UNAVAILABLE, message, { cause: thrown }) : thrown;
  }
}
