import { Status } from 'nice-grpc-common';
import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import { FusionError } from '../../services/kit/errors.ts';

const codes: Readonly<Record<number, Status>> = {
  400: Status.INVALID_ARGUMENT,
  401: Status.UNAUTHENTICATED,
  403: Status.PERMISSION_DENIED,
  404: Status.NOT_FOUND,
  409: Status.FAILED_PRECONDITION,
  // As gRPC calls a message that is too large.
  413: Status.RESOURCE_EXHAUSTED,
  416: Status.OUT_OF_RANGE,
  422: Status.ALREADY_EXISTS,
  429: Status.RESOURCE_EXHAUSTED,
  499: Status.CANCELLED,
  501: Status.UNIMPLEMENTED,
  502: Status.UNAVAILABLE,
  503: Status.UNAVAILABLE,
  504: Status.DEADLINE_EXCEEDED,
};

/** Codes about a state, for which HTTP also uses 400. */
const preconditions = new Set(['wrong_state', 'no_such_file_yet', 'deadline_hopeless', 'model_draining', 'own_key']);

/** The error in a response, which may come from a proxy in front of the gateway. */
export function readHttpError(status: number, headers: Headers, body: string): FusionError {
  const { message = `HTTP ${status}`, code, param } = parse(body);
  const wait = Number(headers.get('retry-after') ?? Number.NaN);
  const reason = code?.toUpperCase() as ErrorReason | undefined;
  const isPrecondition = code !== undefined && preconditions.has(code);
  return new FusionError(isPrecondition ? Status.FAILED_PRECONDITION : (codes[status] ?? Status.INTERNAL), message, {
    ...(reason && { reason }),
    ...(param && { field: param }),
    ...(wait >= 0 && { retryAfterSeconds: wait }),
  });
}

function parse(body: string): { message?: string; code?: string; param?: string | null } {
  try {
    const { error } = JSON.parse(body) as { error?: object };
    return error ?? {};
  } catch {
    return {};
  }
}
