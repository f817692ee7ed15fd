import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError, toFusionError } from '../../../services/kit/errors.ts';

const errorTypes = [
  'invalid_request_error',
  'idempotency_error',
  'authentication_error',
  'permission_error',
  'rate_limit_error',
  'unavailable_error',
  'server_error',
] as const;

/** The body of every error response. */
export const errorAnswer = z
  .strictObject({
    error: z.strictObject({
      message: z.string().describe('What is wrong, what was given and what is allowed.'),
      type: z.enum(errorTypes),
      param: z.string().nullable().describe('The field, parameter or header at fault.'),
      code: z.string().describe('Stable name of the error.'),
    }),
  })
  .describe('An error.');

export type ErrorAnswer = z.infer<typeof errorAnswer>;

/** An error in HTTP terms. */
export interface HttpError {
  status: number;
  headers: Record<string, string>;
  body: ErrorAnswer;
}

type Kind = readonly [status: number, type: (typeof errorTypes)[number]];

const internal: Kind = [500, 'server_error'];

/** 429 would send callers looking at their own limits, although the fault is ours. */
const diskFull: Kind = [503, 'unavailable_error'];

/**
 * As mapped by google.rpc.Code, except for a conflicting Idempotency-Key: common clients retry after 409, so it is 422,
 * as in the IETF's draft for that header.
 */
const kinds: Partial<Record<Status, Kind>> = {
  [Status.INVALID_ARGUMENT]: [400, 'invalid_request_error'],
  [Status.FAILED_PRECONDITION]: [400, 'invalid_request_error'],
  [Status.OUT_OF_RANGE]: [416, 'invalid_request_error'],
  [Status.UNAUTHENTICATED]: [401, 'authentication_error'],
  [Status.PERMISSION_DENIED]: [403, 'permission_error'],
  [Status.NOT_FOUND]: [404, 'invalid_request_error'],
  [Status.ALREADY_EXISTS]: [422, 'idempotency_error'],
  [Status.RESOURCE_EXHAUSTED]: [429, 'rate_limit_error'],
  [Status.CANCELLED]: [499, 'invalid_request_error'],
  [Status.UNIMPLEMENTED]: [501, 'server_error'],
  [Status.UNAVAILABLE]: [503, 'unavailable_error'],
  [Status.DEADLINE_EXCEEDED]: [504, 'unavailable_error'],
};

/** Names under which callers know fields. */
const params = new Map([
  ['client_id', 'Idempotency-Key'],
  ['file', 'variant'],
  ['idempotency-key', 'Idempotency-Key'],
]);

/** Converts anything thrown to an error for the caller; internal errors are reported without details. */
export function toHttpError(thrown: unknown): HttpError {
  const fault = protocolFault(thrown);
  if (fault) {
    return fault;
  }
  const error = toFusionError(thrown);
  const [status, type] = error.reason === 'DISK_FULL' ? diskFull : (kinds[error.code] ?? internal);
  if (error.code === Status.DATA_LOSS) {
    return httpError(
      500,
      'server_error',
      'The stored file is damaged or missing, read twice; create the video again',
      'file_damaged',
    );
  }
  if (status === 500) {
    return httpError(status, type, 'Internal error; the server logged the details under the x-request-id', 'internal');
  }
  const field = error.field ?? '';
  const param = params.get(field) ?? (field || undefined);
  const message = param === undefined ? error.message : error.message.replace(`\`${field}\``, `\`${param}\``);
  const answer = httpError(status, type, message, error.reason.toLowerCase(), param);
  if (error.reason === 'OUTCOME_UNKNOWN') {
    // Common clients would retry and create it a second time.
    answer.headers['x-should-retry'] = 'false';
    return answer;
  }
  const isTooMany = error.reason === 'QUEUE_FULL' && error.retryAfterSeconds === undefined;
  if (error.reason === 'BUDGET_USED' || isTooMany) {
    // Hours, weeks or for ever: common clients would retry within seconds.
    answer.headers['x-should-retry'] = 'false';
  }
  const retryAfter = error.retryAfterSeconds ?? (status === 503 ? 1 : undefined);
  if (retryAfter !== undefined) {
    answer.headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfter)));
  }
  if (status === 401) {
    answer.headers['www-authenticate'] = 'Bearer';
  }
  return answer;
}

/** An error of the HTTP protocol itself, which has no gRPC equivalent. */
export class ProtocolError extends Error {
  readonly statusCode: number;
  readonly code: string;
  readonly headers: Record<string, string>;

  /** The field, parameter or header at fault. */
  readonly param: string | null;

  constructor(
    statusCode: number,
    code: string,
    message: string,
    headers: Record<string, string> = {},
    param: string | null = null,
  ) {
    super(message);
    this.param = param;
    this.name = 'ProtocolError';
    this.statusCode = statusCode;
    this.code = code;
    this.headers = headers;
  }
}

/** For an `If-Match` without the ETag of the resource (RFC 9110, section 13.1.1). */
export function preconditionFailed(): ProtocolError {
  return new ProtocolError(
    412,
    'precondition_failed',
    '`If-Match` must name the ETag of this resource',
    {},
    'If-Match',
  );
}

/** An error found by the framework or by us before a request was interpreted. */
function protocolFault(thrown: unknown): HttpError | undefined {
  if (thrown instanceof FusionError || !(thrown instanceof Error)) {
    return undefined;
  }
  const { statusCode = 500, code = 'bad_request', headers, param } = thrown as Partial<ProtocolError>;
  const isFramework = code.startsWith('FST_');
  if (statusCode < 400 || statusCode >= 500) {
    return undefined;
  }
  const name = code.replace(/^FST_(ERR_)?(CTP_)?/, '').toLowerCase();
  const answer = httpError(
    statusCode,
    statusCode === 403 ? 'permission_error' : 'invalid_request_error',
    isFramework ? (frameworkMessages.get(name) ?? 'Malformed HTTP request') : thrown.message,
    name,
    param,
  );
  return { ...answer, headers: { ...headers } };
}

/** Fastify's errors, by our code. */
const frameworkMessages = new Map([
  ['bad_url', 'The path must be a valid URL: a percent sign is followed by two hexadecimal digits of UTF-8'],
  ['invalid_content_length', 'The body must have the length that `Content-Length` names'],
  ['max_param_length', 'The id in the path must be at most 100 characters'],
]);

function httpError(
  status: number,
  type: ErrorAnswer['error']['type'],
  message: string,
  code: string,
  param: string | null = null,
): HttpError {
  return { status, headers: {}, body: { error: { message, type, param, code } } };
}
