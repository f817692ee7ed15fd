import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';

interface DiskFullDetails {
  /** What follows the sentence. */
  detail?: string;
  field?: string;
  cause?: unknown;
}

/** RESOURCE_EXHAUSTED: the disk of `place` is full. */
export function diskFull(place: string, { detail, field, cause }: DiskFullDetails = {}): FusionError {
  const text = `${place}: the disk is full`;
  return new FusionError(Status.RESOURCE_EXHAUSTED, detail === undefined ? text : `${text}; ${detail}`, {
    reason: 'DISK_FULL',
    ...(field !== undefined && { field }),
    cause,
  });
}

/** {@link diskFull} if a system error says that the disk or the user's quota is full; otherwise the error itself. */
export function explainDiskFull(error: unknown, place: string, details?: Omit<DiskFullDetails, 'cause'>): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' ? diskFull(place, { ...details, cause: error }) : error;
}
