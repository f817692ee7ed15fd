import { Status } from 'nice-grpc-common';
import type { FusionError } from '../../../services/kit/errors.ts';
import type { Tries } from '../store/job-ledger.ts';

/** What a replica that dies, drains or starts leaves its callers with. */
const passing: readonly Status[] = [Status.UNAVAILABLE, Status.CANCELLED, Status.ABORTED];

/** What people mend while jobs wait: a disk that is full, a bucket or folder that lets nobody in. */
const mendable: readonly string[] = ['DISK_FULL', 'STORAGE_REFUSED'];

/** Waits before the second and later attempts double from this one to the longest, seconds. */
const firstDelay = 0.25;
const maxDelay = 30;

/** A stage that stands still is tried once more. */
const maxStalls = 1;

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
  const { passingFailures, stalls } = tries;
  if (error.code === Status.DEADLINE_EXCEEDED) {
    return stalls < maxStalls ? { delaySeconds: 0, tries: { passingFailures, stalls: stalls + 1 } } : undefined;
  }
  // RESOURCE_EXHAUSTED is worth it only where it means that others are being served right now.
  const mayPass = passing.includes(error.code) || mendable.includes(error.reason) || error.reason === 'TOO_MANY_CALLS';
  // Who waited in vain for somebody to serve the stage has waited long enough.
  const isPassing = mayPass && error.reason !== 'NOBODY_SERVES';
  if (!isPassing || passingFailures + 1 >= stageAttempts) {
    return undefined;
  }
  const delaySeconds = Math.min(firstDelay * 2 ** passingFailures, maxDelay);
  return { delaySeconds, tries: { passingFailures: passingFailures + 1, stalls } };
}

/** What the reason of a job's failure says besides what its stage said: how often that was tried. */
export function triesBehind({ passingFailures, stalls }: Tries): string {
  const tries = passingFailures + stalls + 1;
  return tries > 1 ? `; the gateway began the stage ${tries} times` : '';
}
