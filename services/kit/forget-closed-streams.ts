import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { BaseServerInterceptingCall } from '@grpc/grpc-js/build/src/server-interceptors.js';
import { Http2SubchannelCall } from '@grpc/grpc-js/build/src/subchannel-call.js';

type Stream = ClientHttp2Stream | ServerHttp2Stream;

/** The parts of grpc-js used here; private in its types. */
interface ClientCall {
  http2Stream: ClientHttp2Stream;
  startRead(): void;
}

interface ServerCall {
  stream: ServerHttp2Stream;
  start(listener: unknown): void;
}

const followed = new WeakSet<Stream>();
let isInstalled = false;

/**
 * Makes the streams of grpc-js forget their listeners once they are closed. V8 keeps the object of a closed HTTP/2 stream, and by its
 * listeners the call with its messages, until it marks the whole heap, which is after a video or two; the rest of a call it
 * frees much sooner, and then needs to mark less often.
 */
export function forgetClosedStreams(): void {
  if (isInstalled) {
    return;
  }
  isInstalled = true;
  const client = Http2SubchannelCall.prototype as unknown as ClientCall;
  const { startRead } = client;
  client.startRead = function () {
    follow(this.http2Stream);
    startRead.call(this);
  };
  const server = BaseServerInterceptingCall.prototype as unknown as ServerCall;
  const { start } = server;
  server.start = function (listener) {
    follow(this.stream);
    start.call(this, listener);
  };
}

function follow(stream: Stream): void {
  if (!followed.has(stream)) {
    followed.add(stream);
    // Later, because what grpc-js does when a stream closes it partly does in the next tick.
    stream.once('close', () => setImmediate(forget, stream));
  }
}

function forget(stream: Stream): void {
  stream.removeAllListeners();
  stream.on('error', ignore);
}

function ignore(): void {}
