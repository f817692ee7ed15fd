import { Status } from 'nice-grpc-common';
import type { FusionError } from '../../../services/kit/errors.ts';
import type { Tries } from '../store/job-ledger.ts';

/** What callers of a replica that dies, drains or starts receive. */
const passing: readonly Status[] = [Status.UNAVAILABLE, Status.CANCELLED, Status.ABORTED];

/** What operators fix while jobs wait: a full disk, a bucket or folder that refuses access. */
const mendable: readonly string[] = ['DISK_FULL', 'STORAGE_REFUSED'];

/** The system's codes for a shortage of files or memory. */
const shortages: readonly unknown[] = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];

/** INTERNAL errors that any other replica would give as well. */
const certain: readonly string[] = ['PREDICTION_NOT_FINITE', 'JOB_ENDS_GATEWAYS'];

/** Waits before the second and later attempts double from this one to the longest, seconds. */
const firstDelay = 0.25;
const maxDelay = 30;

/** A stage that makes no progress, or whose backend fails, is restarted once: its next call goes to another replica. */
const maxFaults = 1;
/** By then a GPU that was out of memory may have some again, seconds. */
const faultDelay = 1;

/** Another attempt: when, and what it will have behind it. */
export interface Retry {
  delaySeconds: number;
  tries: Tries;
}

/**
 * Whether a stage that failed is worth another attempt. This is the one place that decides so: the calls of the stages
 * themselves are made once. Below it a stage repeats single requests of inference (`repeatable` in the kit's channel), so
 * that an inference server which is replaced costs no step that was done; the two multiply, to 7 requests an attempt.
 *
 * @param tries since a stage was last finished
 * @param stageAttempts how often a stage may be begun while it fails for passing reasons
 */
export function retryAfter(error: FusionError, tries: Tries, stageAttempts: number): Retry | undefined {
  const { passingFailures, faults } = tries;
  if (isFault(error)) {
    const delaySeconds = error.code === Status.INTERNAL ? faultDelay : 0;
    return faults < maxFaults ? { delaySeconds, tries: { passingFailures, faults: faults + 1 } } : undefined;
  }
  // RESOURCE_EXHAUSTED is worth it only where it means that others are being served right now.
  const mayPass =
    passing.includes(error.code) ||
    mendable.includes(error.reason) ||
    error.reason === 'TOO_MANY_CALLS' ||
    isShortage(error);
  // A job that waited in vain for a replica of its stage has waited long enough.
  const isPassing = mayPass && error.reason !== 'STAGE_NOT_SERVED';
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

/** What the reason of a job's failure says besides what its stage said: how often that was tried. */
export function triesBehind({ passingFailures, faults }: Tries): string {
  const tries = passingFailures + faults + 1;
  return tries > 1 ? `; the gateway began the stage ${tries} times` : '';
}
