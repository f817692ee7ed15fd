import { Status } from 'nice-grpc-common';
import { FusionError } from './errors.ts';

/**
 * RESOURCE_EXHAUSTED when a system's error says that the disk, or this user's share of it, is full; else the error itself.
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
