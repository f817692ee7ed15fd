import { getSystemErrorMap } from 'node:util';
import { FusionError } from './errors.ts';

/**
 * Why a call of the system, OpenSSL, the PostgreSQL driver or fetch failed, in words that follow a subject: "no such file or
 * directory". The messages of their errors repeat paths and addresses, and hide the reason behind codes or in a cause.
 */
export function reasonOf(thrown: unknown): string {
  if (!isError(thrown)) {
    return String(thrown);
  }
  if (thrown instanceof FusionError) {
    return thrown.message;
  }
  const { code = '', message, cause, errors } = thrown as NodeJS.ErrnoException & { errors?: unknown[] };
  const inner = cause ?? errors?.[0];
  if (isError(inner)) {
    return reasonOf(inner);
  }
  return systemReasonOf(thrown) ?? openSslReason(thrown) ?? (message || code);
}

/** The same for a call of the system alone; undefined for any other error. */
export function systemReasonOf(error: Error): string | undefined {
  const { code = '', message } = error as NodeJS.ErrnoException;
  // gRPC errors have the system's code in their text only.
  const known = [code, ...(message.match(/\bE[A-Z]{3,}\b/g) ?? [])].find((each) => reasons.has(each));
  return known === undefined ? undefined : reasons.get(known);
}

/** Errors of other realms and DOMExceptions count, which are not instances of Error. */
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && typeof (value as Error).message === 'string';
}

/** By code; the last ones are the PostgreSQL driver's. */
const reasons = new Map<string, string>([
  ...getSystemErrorMap().values(),
  ['ENOTFOUND', 'host name not found'],
  ['CONNECT_TIMEOUT', 'connection timed out'],
  ['CONNECTION_CLOSED', 'connection closed'],
  ['CONNECTION_DESTROYED', 'connection closed'],
  ['CONNECTION_ENDED', 'connection closed'],
]);

function openSslReason(error: Error): string | undefined {
  const { library, reason } = error as { library?: unknown; reason?: unknown };
  return typeof library === 'string' && typeof reason === 'string' ? reason : undefined;
}
