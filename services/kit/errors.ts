import { ClientError, ServerError, Status } from 'nice-grpc-common';
// Types alone: this file is loaded by every thread and command, and loading the package takes longer than many of them run.
import type { BadRequest, ErrorInfo, RetryInfo, RichClientError } from 'nice-grpc-error-details';
import type { ErrorReason } from './error-reasons.ts';
import { plainText } from './plain-text.ts';

/** What {@link FusionError} carries besides its message. */
export interface FusionErrorOptions {
  /** Stable name of the kind of fault, UPPER_SNAKE_CASE, for programs to branch on. */
  reason?: ErrorReason;
  /** The request field or setting at fault. */
  field?: string;
  /** When the same call may succeed, seconds from now. */
  retryAfterSeconds?: number;
  cause?: unknown;
}

/**
 * The one error of this project: a gRPC status code, a self-contained message (field, what was given, what is allowed)
 * and details for programs. On the wire it is a gRPC status with `google.rpc.ErrorInfo`, `google.rpc.BadRequest` and
 * `google.rpc.RetryInfo` details.
 */
export class FusionError extends Error {
  readonly code: Status;
  readonly reason: ErrorReason;
  readonly field: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: Status, message: string, options: FusionErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'FusionError';
    this.code = code;
    this.reason = options.reason ?? this.codeName;
    this.field = options.field;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** Name of the status code, such as `INVALID_ARGUMENT`. */
  get codeName(): keyof typeof Status {
    return Status[this.code] as keyof typeof Status;
  }
}

/**
 * INVALID_ARGUMENT for a value from outside: "`width` must be a multiple of 8 (got 65)".
 *
 * @param mustBe what is allowed, as it reads after "must be"
 */
export function invalidField(field: string, given: unknown, mustBe: string): FusionError {
  const name = shown(field, maxFieldLength);
  return new FusionError(Status.INVALID_ARGUMENT, `\`${name}\` must be ${mustBe} (got ${describe(given)})`, {
    reason: 'INVALID_FIELD',
    field: name,
  });
}

/** Longer names of fields contain a caller's own, such as that of a label. */
const maxFieldLength = 160;

/** What was given, for {@link invalidField} to report in these words: the value says less, or is secret or long. */
export function inWords(words: string): object {
  return new InWords(words);
}

class InWords {
  readonly words: string;

  constructor(words: string) {
    this.words = words;
  }
}

/** INVALID_ARGUMENT for an unknown field; says which ones there are, if `known` lists them. */
export function unknownField(field: string, known?: readonly string[]): FusionError {
  const name = shown(field);
  const fault = name === '' ? 'A field has an empty name' : `\`${name}\` is not a known field`;
  const message = known ? `${fault}; known: ${known.join(', ') || 'none'}` : fault;
  return new FusionError(Status.INVALID_ARGUMENT, message, {
    reason: 'UNKNOWN_FIELD',
    field: name,
  });
}

/**
 * The same error with the name that the caller used for its field.
 *
 * @param shown what replaces the field in the message
 */
export function renameField(error: FusionError, name: string, shown = `\`${name}\``): FusionError {
  const { code, reason, message, field } = error;
  return new FusionError(code, message.replace(`\`${field}\``, shown), { reason, field: name, cause: error });
}

/** How an error names the values a field may have. */
export function choices(values: readonly (string | number)[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
}

/** Anything thrown, as a {@link FusionError}; a foreign error becomes INTERNAL (or CANCELLED for an abort). */
export function toFusionError(error: unknown): FusionError {
  if (error instanceof FusionError) {
    return error;
  }
  if (hasDetails(error)) {
    const detail = <T extends { $type: string }>(type: T['$type']) =>
      error.extra.find(({ $type }) => $type === type) as T | undefined;
    const info = detail<ErrorInfo>('google.rpc.ErrorInfo');
    const badRequest = detail<BadRequest>('google.rpc.BadRequest');
    const retryInfo = detail<RetryInfo>('google.rpc.RetryInfo');
    return new FusionError(error.code, error.details, {
      ...(info && { reason: info.reason as ErrorReason }),
      ...(badRequest?.fieldViolations[0] && { field: badRequest.fieldViolations[0].field }),
      ...(retryInfo?.retryDelay && { retryAfterSeconds: seconds(retryInfo.retryDelay) }),
      cause: error,
    });
  }
  if (error instanceof ClientError || error instanceof ServerError) {
    return new FusionError(error.code, error.details, { cause: error });
  }
  if (isAbortError(error)) {
    return new FusionError(Status.CANCELLED, 'The call was cancelled', { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  // Libraries quote what they were given, which may be a picture.
  return new FusionError(Status.INTERNAL, shorten(message, maxMessageLength), { cause: error });
}

function hasDetails(error: unknown): error is RichClientError {
  return error instanceof ClientError && 'extra' in error;
}

function seconds({ seconds, nanos }: { seconds: number; nanos: number }): number {
  return seconds + nanos / 1e9;
}

/** Whether an error says that its operation was aborted through a signal. */
export function isAbortError(error: unknown): boolean {
  return (error as { name?: unknown } | undefined)?.name === 'AbortError';
}

/**
 * A value from outside as errors show it. Long lists and lists of lists or objects by their length, and objects by their kind
 * only, since their text may be very long.
 */
export function describe(value: unknown): string {
  if (value === undefined) {
    return 'nothing';
  }
  if (typeof value === 'string') {
    return `"${shown(value)}"`;
  }
  if (value instanceof InWords) {
    return value.words;
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? 'an invalid time' : value.toISOString();
  }
  if (ArrayBuffer.isView(value)) {
    return `${value.byteLength} bytes`;
  }
  if (Array.isArray(value)) {
    return describeList(value);
  }
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

function describeList(list: readonly unknown[]): string {
  if (list.length === 0) {
    return 'an empty list';
  }
  const isShort = list.length <= maxShownItems && list.every((item) => typeof item !== 'object' || item === null);
  const text = isShort ? `[${list.map(describe).join(', ')}]` : '';
  return isShort && text.length <= maxShown ? text : `a list of ${list.length} ${list.length === 1 ? 'item' : 'items'}`;
}

const maxShownItems = 10;
/** Characters of a value in an error. */
const maxShown = 80;

/**
 * Longest message on the wire and of foreign errors, in characters. It travels in headers, encoded three times, and
 * Node's HTTP/2 breaks the connection, with all its calls, when these exceed 64 KiB.
 */
export const maxMessageLength = 2000;

/** A text from outside as errors show it: cut, without characters that would disturb the text around it. */
export function shown(text: string, length = maxShown): string {
  return shorten(plainText(text), length);
}

/** A text cut to at most `length` characters, not between the halves of one. */
export function shorten(text: string, length = maxShown): string {
  return text.length > length ? `${text.slice(0, length - 3).replace(/\p{Surrogate}$/u, '')}...` : text;
}
