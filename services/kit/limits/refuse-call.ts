import { constants, type ServerHttp2Stream } from 'node:http2';
import { Metadata, type ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { Any, BadRequest, ErrorInfo, RetryInfo, type RichServerError } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';
import type { FusionError } from '../errors.ts';
import { toServerError } from '../server-error.ts';

/** The parts of a grpc-js call used here; private in its types. */
interface CallOnStream {
  stream: ServerHttp2Stream;
}

/** The stream of a call below all interceptors. */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  return (call as unknown as CallOnStream).stream;
}

/** Ends a call with an error before its handler sees it; no more of it is read. */
export function refuseCall(call: ServerInterceptingCallInterface, error: FusionError): void {
  const details = toServerError(error).extra.flatMap(pack);
  const status = Status.fromPartial({ code: error.code, message: error.message, details });
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(status).finish()));
  call.sendStatus({ code: error.code, details: error.message, metadata });
  endReading(streamOf(call));
}

/** Ends a stream that has been answered but that its caller has not ended. */
export function endReading(stream: ServerHttp2Stream): void {
  if (!stream.closed && !stream.readableEnded) {
    // The answer goes out first.
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  }
}

/** An error detail in its wire form; we send no other kinds. */
function pack(detail: RichServerError['extra'][number]): Any[] {
  const codec = [ErrorInfo, BadRequest, RetryInfo].find(({ $type }) => $type === detail.$type);
  const value = codec?.encode(detail as never).finish();
  return value ? [Any.fromPartial({ typeUrl: `type.googleapis.com/${detail.$type}`, value })] : [];
}
