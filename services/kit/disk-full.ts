import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';

/**
 * RESOURCE_EXHAUSTED if a system error says that the disk or the user's quota is full; otherwise the error itself.
 *
 * @param message says whose disk it is
 */
export function explainDiskFull(error: unknown, message: string, field?: string): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new FusionError(Status.RESOURCE_EXHAUSTED, message, {
        reason: 'DISK_FULL',
        ...(field !== undefined && { field }),
        cause: error,
      })
    : error;
}
