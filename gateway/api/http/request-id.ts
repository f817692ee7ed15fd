import { randomBytes } from 'node:crypto';

/** A random id for a request, its response and the log. */
export function newRequestId(): string {
  return `req_${randomBytes(12).toString('hex')}`;
}
