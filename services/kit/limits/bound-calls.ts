import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import { FusionError, toFusionError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { add } from '../telemetry/metrics.ts';
import { type Admit, asAdmitted } from './admission.ts';
import { Counts } from './counts.ts';
import { OccasionalLog } from './occasional-log.ts';
import { endReading, refuseCall, streamOf } from './refuse-call.ts';

/** Limits on calls whose message or caller is not known yet. */
export interface CallBounds {
  /** Open calls, except probes and watches. */
  openCalls: number;
  /** Bytes of messages not yet received in full, over all calls. */
  pendingBytes: number;
  /** Largest message, bytes. A compressed message counts as this large until it has arrived. */
  messageBytes: number;
  /** Longest wait for a call's first message, seconds. */
  messageSeconds: number;
  /** Whether a bidirectional stream may be opened long before its first message. */
  streamsMayWait: boolean;
  /** Calls of one address whose message has not arrived or whose caller is not known yet, including probes. */
  pendingCallsPerAddress: number;
}

/** Open health watches and reflection streams: they are long-lived and need no key. */
const openWatches = 512;
const watchesOfAddress = 64;

const probe = '/grpc.health.v1.Health/Check';
const watches = /^\/grpc\.(health\.v1\.Health\/Watch|reflection\.)/;

/**
 * Bounds what calls hold before they are handled, and has `admit` judge a call by its headers: no message of a rejected
 * caller is read. Must be the first interceptor. Rejections are RESOURCE_EXHAUSTED with a time to retry after, or
 * DEADLINE_EXCEEDED for a message that does not arrive.
 *
 * @param admit gives the check of the service that a path belongs to
 */
export function boundCalls(
  bounds: CallBounds,
  admit: (path: string) => Admit | undefined,
  log: Logger,
): ServerInterceptor {
  const server = new BoundedServer(bounds, admit, log);
  return (method, call) => {
    const bounded = new BoundedCall(server, method, call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => bounded.onHeaders(metadata, proceed),
          onReceiveMessage: (message, proceed) => bounded.onMessage(() => proceed(message)),
          onReceiveHalfClose: (proceed) => bounded.onHalfClose(proceed),
          onCancel: () => endReading(streamOf(call)),
        }),
    });
  };
}

/** Shared by all calls of a server. */
class BoundedServer {
  readonly bounds: CallBounds;
  readonly admit: (path: string) => Admit | undefined;
  readonly log: OccasionalLog;
  readonly pending = new Counts();
  readonly watches = new Counts();
  openCalls = 0;
  openWatches = 0;
  pendingBytes = 0;

  constructor(bounds: CallBounds, admit: (path: string) => Admit | undefined, log: Logger) {
    this.bounds = bounds;
    this.admit = admit;
    this.log = new OccasionalLog(log);
  }
}

type Method = Parameters<ServerInterceptor>[0];

class BoundedCall {
  readonly #server: BoundedServer;
  readonly #method: Method;
  readonly #call: ServerInterceptingCallInterface;
  readonly #address: string;
  #isOver = false;
  #isPending = true;
  #bytes = 0;
  #admitted: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(server: BoundedServer, method: Method, call: ServerInterceptingCallInterface) {
    this.#server = server;
    this.#method = method;
    this.#call = call;
    this.#address = call.getPeer().replace(/:\d+$/, '');
  }

  onHeaders(metadata: Metadata, proceed: (metadata: Metadata) => void): void {
    const refusal = this.#enter();
    if (refusal) {
      this.#refuse(refusal);
      return;
    }
    this.#awaitMessage();
    this.#countBytes();
    const admit = this.#server.admit(this.#method.path);
    if (!admit) {
      proceed(metadata);
      return;
    }
    admit({ path: this.#method.path, metadata }).then(
      (admitted) => {
        this.#admitted = admitted;
        if (!this.#isOver) {
          asAdmitted(admitted, () => proceed(metadata));
        }
      },
      (error) => this.#refuse(toFusionError(error)),
    );
  }

  onMessage(proceed: () => void): void {
    this.#releaseBytes();
    if (this.#method.requestStream) {
      this.#arrive();
    }
    asAdmitted(this.#admitted, proceed);
  }

  onHalfClose(proceed: () => void): void {
    this.#arrive();
    asAdmitted(this.#admitted, proceed);
  }

  /** Takes a slot until the call ends; returns an error when none is free. */
  #enter(): FusionError | undefined {
    const { path } = this.#method;
    const { pending, bounds } = this.#server;
    const stream = streamOf(this.#call);
    pending.add(this.#address, 1);
    stream.once('close', () => {
      this.#isOver = true;
      this.#arrive();
      this.#releaseBytes();
    });
    if (pending.get(this.#address) > bounds.pendingCallsPerAddress) {
      return tooMany(`${path}: ${bounds.pendingCallsPerAddress} calls from ${this.#address} are pending`);
    }
    if (watches.test(path)) {
      return this.#enterWatch();
    }
    if (path === probe) {
      return undefined;
    }
    if (this.#server.openCalls >= bounds.openCalls) {
      return tooMany(`${path}: ${this.#server.openCalls} calls are open`);
    }
    this.#server.openCalls++;
    stream.once('close', () => this.#server.openCalls--);
    return undefined;
  }

  #enterWatch(): FusionError | undefined {
    const server = this.#server;
    if (server.openWatches >= openWatches || server.watches.get(this.#address) >= watchesOfAddress) {
      return tooMany(`${this.#method.path}: ${server.openWatches} watches are open`);
    }
    server.openWatches++;
    server.watches.add(this.#address, 1);
    streamOf(this.#call).once('close', () => {
      server.openWatches--;
      server.watches.add(this.#address, -1);
    });
    return undefined;
  }

  #awaitMessage(): void {
    const { messageSeconds, streamsMayWait } = this.#server.bounds;
    const { path, requestStream, responseStream } = this.#method;
    if (!(streamsMayWait && requestStream && responseStream)) {
      this.#timer = setTimeout(() => this.#refuse(tooSlow(path, messageSeconds)), messageSeconds * 1000);
    }
  }

  /** The first message has arrived, or never will. */
  #arrive(): void {
    if (this.#isPending) {
      this.#isPending = false;
      this.#server.pending.add(this.#address, -1);
    }
    clearTimeout(this.#timer);
  }

  #countBytes(): void {
    const { bounds } = this.#server;
    const isCompressed = encodingOf(this.#call) !== 'identity';
    streamOf(this.#call).on('data', (data: Uint8Array) => {
      if (this.#isOver) {
        return;
      }
      const before = this.#bytes;
      this.#bytes = isCompressed ? bounds.messageBytes : before + data.length;
      this.#server.pendingBytes += this.#bytes - before;
      // A single message is accepted however small the limit is.
      if (this.#server.pendingBytes > bounds.pendingBytes && this.#server.pendingBytes > this.#bytes) {
        this.#refuse(tooLarge(this.#method.path, bounds.pendingBytes));
      }
    });
  }

  #releaseBytes(): void {
    this.#server.pendingBytes -= this.#bytes;
    this.#bytes = 0;
  }

  #refuse(error: FusionError): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    this.#arrive();
    this.#releaseBytes();
    const { path } = this.#method;
    add('fusionframes.calls', 1, { 'rpc.method': path.slice(1), 'fusionframes.admission': 'refused' });
    if (error.code !== Status.UNAUTHENTICATED) {
      this.#server.log.warn(
        this.#address,
        { method: path, address: this.#address, reason: error.reason },
        'call refused',
      );
    }
    refuseCall(this.#call, error);
  }
}

/** The parts of a grpc-js call used here; private in its types. */
function encodingOf(call: ServerInterceptingCallInterface): string {
  return (call as unknown as { incomingEncoding: string }).incomingEncoding;
}

function tooMany(why: string): FusionError {
  return new FusionError(Status.RESOURCE_EXHAUSTED, `${why}, which is the limit; try again later`, {
    reason: 'TOO_MANY_CALLS',
    retryAfterSeconds: 1,
  });
}

/** UNAVAILABLE, so that clients retry calls that may be retried. */
function tooLarge(path: string, bytes: number): FusionError {
  return new FusionError(
    Status.UNAVAILABLE,
    `${path}: messages of ${bytes} bytes are pending, which is the limit; try again later`,
    { reason: 'TOO_MANY_BYTES', retryAfterSeconds: 1 },
  );
}

function tooSlow(path: string, seconds: number): FusionError {
  return new FusionError(Status.DEADLINE_EXCEEDED, `${path}: no message arrived within ${seconds} seconds`, {
    reason: 'MESSAGE_MISSING',
  });
}
