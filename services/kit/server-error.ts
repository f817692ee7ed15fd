import { BadRequest, ErrorInfo, RetryInfo, RichServerError } from 'nice-grpc-error-details';
import { type FusionError, maxMessageLength, shorten } from './errors.ts';

const domain = 'fusionframes';

const maxFieldLength = 200;

/** Converts an error to the gRPC error that a server throws. */
export function toServerError(error: FusionError): RichServerError {
  const message = shorten(error.message, maxMessageLength);
  const details = [ErrorInfo.fromPartial({ reason: error.reason, domain })];
  const violations =
    error.field === undefined
      ? []
      : [
          BadRequest.fromPartial({
            fieldViolations: [{ field: shorten(error.field, maxFieldLength), description: message }],
          }),
        ];
  const retry =
    error.retryAfterSeconds === undefined
      ? []
      : [RetryInfo.fromPartial({ retryDelay: duration(error.retryAfterSeconds) })];
  return new RichServerError(error.code, message, [...details, ...violations, ...retry]);
}

function duration(total: number): { seconds: number; nanos: number } {
  const milliseconds = Math.ceil(total * 1000);
  return { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1e6 };
}
