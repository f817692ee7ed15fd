import { Status } from 'nice-grpc-common';
import type { FusionError } from '../../../services/kit/errors.ts';
import type { Tries } from '../store/job-ledger.ts';

/** What callers receive from a replica that dies, drains or is starting. */
const passing: readonly Status[] = [Status.UNAVAILABLE, Status.CANCELLED, Status.ABORTED];

/** What operators fix while jobs wait: a full disk, a bucket or folder that refuses access. */
const mendable: readonly string[] = ['DISK_FULL', 'STORAGE_REFUSED'];

/** The system's codes for a shortage of files or memory. */
const shortages: readonly unknown[] = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];

/** INTERNAL errors that every other replica would return too. */
const certain: readonly string[] = ['PREDICTION_NOT_FINITE', 'JOB_CRASHES_GATEWAYS'];

/**
 * Not retried: the job has already waited as long as allowed for a replica of a stage, or for a gateway with its model.
 */
const waited: readonly string[] = ['STAGE_NOT_SERVED', 'NO_ROUTE'];

/** Pause before the second attempt, doubling with each further one up to the longest, in seconds. */
const firstDelay = 0.25;
const maxDelay = 30;

/** A stage that stalls, or whose backend fails, is restarted once; the new call goes to another replica. */
const maxFaults = 1;
/** Long enough for a GPU that ran out of memory to have freed some, in seconds. */
const faultDelay = 1;

/** Another attempt: when, and the tries counted by then. */
export interface Retry {
  delaySeconds: number;
  tries: Tries;
}

/**
 * Decides whether a failed stage is worth another attempt. Only this policy retries stages; calls to them are made
 * once. Below it, a stage retries single inference requests (`InferOptions.repeat`), so that replacing or losing an
 * inference server does not lose finished steps. The two multiply: per attempt up to 7 requests to a server that is
 * unavailable, and 2 of those that it answers with INTERNAL.
 *
 * @param tries tries since the last finished stage
 * @param stageAttempts how often a stage may be started while it fails for transient reasons
 */
export function retryAfter(error: FusionError, tries: Tries, stageAttempts: number): Retry | undefined {
  const { passingFailures, faults } = tries;
  if (isFault(error)) {
    const delaySeconds = error.code === Status.INTERNAL ? faultDelay : 0;
    return faults < maxFaults ? { delaySeconds, tries: { passingFailures, faults: faults + 1 } } : undefined;
  }
  // RESOURCE_EXHAUSTED is worth retrying only when it means that the replica is busy with others.
  const mayPass =
    passing.includes(error.code) ||
    mendable.includes(error.reason) ||
    error.reason === 'TOO_MANY_CALLS' ||
    isShortage(error);
  const isPassing = mayPass && !waited.includes(error.reason);
  if (!isPassing || passingFailures + 1 >= stageAttempts) {
    return undefined;
  }
  const delaySeconds = Math.min(firstDelay * 2 ** passingFailures, maxDelay);
  return { delaySeconds, tries: { passingFailures: passingFailures + 1, faults } };
}

function isFault(error: FusionError): boolean {
  return (
    error.code === Status.DEADLINE_EXCEEDED ||
    (error.code === Status.INTERNAL && !certain.includes(error.reason) && !isShortage(error))
  );
}

function isShortage({ cause }: FusionError): boolean {
  return shortages.includes((cause as NodeJS.ErrnoException | undefined)?.code);
}

/** Adds to a stage's error message how often the stage was tried. */
export function triesBehind({ passingFailures, faults }: Tries): string {
  const tries = passingFailures + faults + 1;
  return tries > 1 ? `; the gateway began the stage ${tries} times` : '';
}
