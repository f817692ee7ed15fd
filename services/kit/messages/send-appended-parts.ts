import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { CompressionFilter } from '@grpc/grpc-js/build/src/compression-filter.js';
import { BaseServerInterceptingCall } from '@grpc/grpc-js/build/src/server-interceptors.js';
import { Http2SubchannelCall } from '@grpc/grpc-js/build/src/subchannel-call.js';
import { byteLengthOf, frame, joinParts, partsAfter } from './appended-parts.ts';

/** The parts of grpc-js used here; private in its types. */
interface Outgoing {
  message: Buffer;
}

interface Filter {
  currentCompressionAlgorithm: string;
  maxSendMessageLength: number;
  sendMessage(outgoing: Promise<Outgoing>): Promise<Outgoing>;
}

interface ClientCall {
  http2Stream: ClientHttp2Stream;
  sendMessageWithContext(context: object, message: Buffer): void;
}

interface ServerCall {
  stream: ServerHttp2Stream;
  handler: { serialize(value: unknown): Buffer };
  maxSendMessageSize: number;
  serializeMessage(value: unknown): Buffer;
  sendMessage(value: unknown, callback: () => void): void;
}

let isInstalled = false;

/** Makes grpc-js send the parts that {@link appendParts} has appended to a message. */
export function sendAppendedParts(): void {
  if (!isInstalled) {
    isInstalled = true;
    frameInClients(CompressionFilter.prototype as unknown as Filter);
    sendFromClients(Http2SubchannelCall.prototype as unknown as ClientCall);
    sendFromServers(BaseServerInterceptingCall.prototype as unknown as ServerCall);
  }
}

/** Has no effect on messages without parts, and joins those that are compressed or too long. */
function frameInClients(prototype: Filter): void {
  const { sendMessage } = prototype;
  prototype.sendMessage = async function (given) {
    const outgoing = await given;
    const { message } = outgoing;
    if (partsAfter(message).length === 0) {
      return sendMessage.call(this, given);
    }
    return this.currentCompressionAlgorithm !== 'identity' || isTooLong(message, this.maxSendMessageLength)
      ? sendMessage.call(this, Promise.resolve({ ...outgoing, message: joinParts(message) }))
      : { ...outgoing, message: frame(message) };
  };
}

function sendFromClients(prototype: ClientCall): void {
  const { sendMessageWithContext } = prototype;
  prototype.sendMessageWithContext = function (context, message) {
    const parts = partsAfter(message);
    sendTogether(this.http2Stream, () => {
      sendMessageWithContext.call(this, context, message);
      return parts;
    });
  };
}

function sendFromServers(prototype: ServerCall): void {
  const { sendMessage } = prototype;
  const unsent = new WeakMap<ServerCall, readonly Uint8Array[]>();
  prototype.serializeMessage = function (value) {
    const message = this.handler.serialize(value);
    if (isTooLong(message, this.maxSendMessageSize)) {
      return frame(joinParts(message));
    }
    unsent.set(this, partsAfter(message));
    return frame(message);
  };
  prototype.sendMessage = function (value, callback) {
    sendTogether(this.stream, () => {
      sendMessage.call(this, value, callback);
      const parts = unsent.get(this) ?? [];
      unsent.delete(this);
      return parts;
    });
  };
}

function isTooLong(message: Buffer, limit: number): boolean {
  return limit !== -1 && byteLengthOf(message) > limit;
}

/** Sends what `begin` writes and, if it was written, the parts after it, with one call of the system. */
function sendTogether(stream: ClientHttp2Stream | ServerHttp2Stream, begin: () => readonly Uint8Array[]): void {
  stream.cork();
  for (const part of begin()) {
    if (!stream.destroyed) {
      stream.write(part);
    }
  }
  stream.uncork();
}
