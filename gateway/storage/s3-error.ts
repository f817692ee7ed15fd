import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

/** Properties of the AWS client's errors. */
interface S3Fault {
  name: string;
  /** Absent if no request was made: no credentials, no region or no valid endpoint. */
  $metadata?: {
    /** Absent if there was no response. */
    httpStatusCode?: number;
  };
}

/** Converts a failed S3 request: UNAVAILABLE if it is transient, FAILED_PRECONDITION if settings need fixing. */
export function s3Error(thrown: unknown): FusionError {
  if (thrown instanceof FusionError) {
    return thrown;
  }
  const { name, $metadata } = thrown as S3Fault;
  const status = $metadata?.httpStatusCode;
  const passing = status === undefined ? $metadata !== undefined : status >= 500 || status === 408 || status === 429;
  const why = [name === 'Error' ? '' : name, reasonOf(thrown)].filter((part) => part).join(': ');
  return new FusionError(passing ? Status.UNAVAILABLE : Status.FAILED_PRECONDITION, `storage: ${why}`, {
    reason: passing ? 'STORAGE_UNAVAILABLE' : 'STORAGE_REFUSED',
    cause: thrown,
  });
}
