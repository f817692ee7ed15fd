import type { Socket } from 'node:net';
import type { ErrorAnswer } from './http-error.ts';

const faults = new Map<string | undefined, readonly [status: string, code: string, message: string]>([
  ['ERR_HTTP_REQUEST_TIMEOUT', ['408 Request Timeout', 'request_timeout', 'The request was not complete in time']],
  [
    'HPE_HEADER_OVERFLOW',
    ['431 Request Header Fields Too Large', 'headers_too_large', 'The headers are larger than allowed'],
  ],
]);

/** Answers a malformed or incomplete request and closes its connection. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] = faults.get(error.code) ?? [
    '400 Bad Request',
    'malformed_request',
    'Malformed HTTP request',
  ];
  const body = JSON.stringify({
    error: { message, type: 'invalid_request_error', param: null, code },
  } satisfies ErrorAnswer);
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
