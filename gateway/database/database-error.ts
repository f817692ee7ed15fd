import { Status } from 'nice-grpc-common';
import { diskFull } from '../../services/kit/disk-full.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

/** Driver and system error codes for a connection that could not be opened or was lost. */
const lostCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'EAI_MEMORY',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EMFILE',
  'ENETDOWN',
  'ENETUNREACH',
  'ENFILE',
  'ENOBUFS',
  'ENOENT',
  'ENOMEM',
  'ENOTCONN',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * SQLSTATE classes and codes (PostgreSQL's appendix A) of temporary failures: the server ended the connection or
 * transaction, is out of memory, files or connections, timed out, is waiting for a lock, or is read-only.
 */
const lostStates = /^(08...|57P0[1235]|57014|53[02-9]..|58030|25006|25P03|40001|40P01|55P03)$/;

/** Whether the database was unreachable, went away or was too busy: retrying may succeed. */
export function isConnectionLoss(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && (lostCodes.has(code) || lostStates.test(code));
}

/** Whether the database's disk is full: retrying may succeed later. */
export function isDiskFull(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === '53100';
}

/**
 * What a failed statement means to a caller: UNAVAILABLE when the database is out of reach, RESOURCE_EXHAUSTED when its
 * disk is full, INTERNAL for anything else. A {@link FusionError} stays as it is.
 */
export function databaseError(thrown: unknown): FusionError {
  if (thrown instanceof FusionError) {
    return thrown;
  }
  const { message } = thrown as { message?: string };
  if (isConnectionLoss(thrown)) {
    return new FusionError(Status.UNAVAILABLE, `The database is not available: ${reasonOf(thrown)}`, {
      reason: 'DATABASE_UNAVAILABLE',
      cause: thrown,
    });
  }
  if (isDiskFull(thrown)) {
    return diskFull('database', { ...(message && { detail: message }), cause: thrown });
  }
  return new FusionError(Status.INTERNAL, `The database rejected the statement: ${message || String(thrown)}`, {
    reason: 'DATABASE_ERROR',
    cause: thrown,
  });
}
