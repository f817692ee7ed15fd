import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';

/** What the AWS client's errors carry. */
interface S3Fault {
  name: string;
  message: string;
  code?: string;
  /** Absent when no request was made: no credentials, no region, no valid endpoint. */
  $metadata?: {
    /** Absent when there was no answer. */
    httpStatusCode?: number;
  };
}

/** What a failed request to an S3 server means: UNAVAILABLE for what may pass, FAILED_PRECONDITION for a setting to mend. */
export function s3Error(thrown: unknown): FusionError {
  if (thrown instanceof FusionError) {
    return thrown;
  }
  const { name, message, code, $metadata } = thrown as S3Fault;
  const status = $metadata?.httpStatusCode;
  const passing = status === undefined ? $metadata !== undefined : status >= 500 || status === 408 || status === 429;
  const why = [name === 'Error' ? '' : name, message || code].filter((part) => part).join(': ');
  return new FusionError(passing ? Status.UNAVAILABLE : Status.FAILED_PRECONDITION, `storage: ${why}`, {
    reason: passing ? 'STORAGE_UNAVAILABLE' : 'STORAGE_REFUSED',
    cause: thrown,
  });
}
