import type { ErrorReason } from '../../../services/kit/error-reasons.ts';
import type { JobFailure } from '../job.ts';

/** A failure as jobs and events store it, by the names of the first release: `reason` is the message. */
export interface StoredFailure extends Pick<JobFailure, 'code' | 'stage' | 'attempt'> {
  reason: string;
  /** Absent from jobs of earlier releases. */
  errorReason?: ErrorReason;
}

export function toStoredFailure({ message, reason, ...rest }: JobFailure): StoredFailure {
  return { ...rest, reason: message, errorReason: reason };
}

export function readStoredFailure({ reason, errorReason, ...rest }: StoredFailure): JobFailure {
  return { ...rest, message: reason, reason: errorReason ?? rest.code };
}
