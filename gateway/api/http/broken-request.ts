import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { ErrorAnswer } from './http-error.ts';
import { newRequestId } from './request-id.ts';

interface Fault {
  /** Status line after the version. */
  status: string;
  code: string;
  message: string;
  param?: string;
}

const malformed = (message: string, param?: string): Fault => ({
  status: '400 Bad Request',
  code: 'malformed_request',
  message,
  ...(param !== undefined && { param }),
});

const contentLength = malformed('`Content-Length` must be one number of bytes', 'Content-Length');

/** By the codes of Node and its parser. */
const faults = new Map<string | undefined, Fault>([
  [
    'ERR_HTTP_REQUEST_TIMEOUT',
    {
      status: '408 Request Timeout',
      code: 'request_timeout',
      message: 'The request was not complete in time',
    },
  ],
  [
    'HPE_HEADER_OVERFLOW',
    {
      status: '431 Request Header Fields Too Large',
      code: 'headers_too_large',
      message: 'The request line and headers must have at most 16 KiB',
    },
  ],
  [
    'HPE_CHUNK_EXTENSIONS_OVERFLOW',
    { status: '413 Content Too Large', code: 'body_too_large', message: 'The extensions of a chunk are too long' },
  ],
  [
    'HPE_INVALID_METHOD',
    malformed('The request must begin with a method in capitals, such as GET; this port has no TLS'),
  ],
  ['HPE_INVALID_URL', malformed('The request line must name a path that begins with / and has no control characters')],
  ['HPE_INVALID_CONSTANT', malformed('The request line must be a method, a path without spaces and HTTP/1.1')],
  ['HPE_INVALID_VERSION', malformed('The request line must end with HTTP/1.1 or HTTP/1.0, then CR LF')],
  ['HPE_PAUSED_H2_UPGRADE', malformed('The request must be HTTP/1.1 (got HTTP/2)')],
  ['HPE_UNEXPECTED_SPACE', malformed('A header must not begin with a space')],
  ['HPE_INVALID_HEADER_TOKEN', malformed('A header must be a name, a colon and a value without control characters')],
  ['HPE_INVALID_CONTENT_LENGTH', contentLength],
  ['HPE_UNEXPECTED_CONTENT_LENGTH', contentLength],
  [
    'HPE_INVALID_TRANSFER_ENCODING',
    malformed('`Transfer-Encoding` must be chunked, without a `Content-Length`, or absent', 'Transfer-Encoding'),
  ],
  ['HPE_INVALID_CHUNK_SIZE', malformed('A chunk must begin with its size in hexadecimal digits')],
  ['HPE_INVALID_EOF_STATE', malformed('The connection ended before the request was complete')],
  ['HPE_CLOSED_CONNECTION', malformed('Nothing may follow a request with `Connection: close`', 'Connection')],
]);

/** Answers a malformed or incomplete request and closes its connection. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answer(socket, faults.get(error.code) ?? malformed('Malformed HTTP request'));
}

/** Answers CONNECT, which Node hands over as a bare socket. */
export function refuseTunnel(_: IncomingMessage, socket: Socket): void {
  socket.on('error', () => {});
  answer(socket, {
    status: '405 Method Not Allowed',
    code: 'method_not_allowed',
    message: 'Method CONNECT is not allowed: this server is not a proxy',
  });
}

function answer(socket: Socket, { status, code, message, param }: Fault): void {
  const body = JSON.stringify({
    error: { message, type: 'invalid_request_error', param: param ?? null, code },
  } satisfies ErrorAnswer);
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\nx-request-id: ${newRequestId()}\r\n` +
      `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
