import type { FastifyRequest } from 'fastify';
import { ProtocolError } from './http-error.ts';

/** Headers that must occur once: with several values, proxies and this server might each believe a different one. */
const singleHeaders = ['Host', 'Authorization', 'Content-Type', 'Idempotency-Key'];

/** Throws 400 if such a header is repeated (RFC 9110, section 5.3; RFC 9112, section 3.2). */
export function refuseRepeatedHeaders({ raw }: FastifyRequest): void {
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  for (const header of singleHeaders) {
    if (names.filter((name) => name === header.toLowerCase()).length > 1) {
      throw new ProtocolError(400, 'duplicate_header', `A request must have one \`${header}\` header`, {}, header);
    }
  }
}

/** Throws 400 for HTTP/1.1 without `Host` (RFC 9112, section 3.2). */
export function requireHost({ raw }: FastifyRequest): void {
  if (raw.headers.host === undefined && raw.httpVersion === '1.1') {
    throw new ProtocolError(400, 'missing_header', 'A request must have a `Host` header', {}, 'Host');
  }
}

/** Throws 417 for an expectation other than 100-continue (RFC 9110, section 10.1.1). */
export function refuseExpectation({ headers: { expect } }: FastifyRequest): void {
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new ProtocolError(417, 'expectation_failed', '`Expect` must be 100-continue or absent', {}, 'Expect');
  }
}
