import { Metadata } from 'nice-grpc-common';
import { GRPCInferenceServiceDefinition } from '../../../proto/gen/grpc_service.ts';
import { type ConnectedClient, type Connection, connect } from '../../kit/channel.ts';
import { FusionError, isAbortError, toFusionError } from '../../kit/errors.ts';
import { appendingBytes } from '../../kit/messages/append-bytes.ts';
import type { ClientTls } from '../../kit/tls.ts';

export interface ConnectionOptions {
  /** Address of Triton or the embedded server; see `connect()` for its forms. */
  address: string;
  /** Default: no TLS. */
  tls?: ClientTls;
  /** Longest duration of a request, including its time in the server's queue, seconds. Default 300. */
  requestTimeoutSeconds?: number;
  /** Largest message received or sent, bytes. Default 1 GiB. */
  maxMessageBytes?: number;
  /**
   * Silence during a request after which the server is pinged, seconds; see `connect()`. Default 20, as between all services
   * of the mesh: a silent server leaves the rotation within a minute. Triton must allow it
   * (`--grpc-http2-min-recv-ping-interval-without-data`, as deploy/triton/start.sh sets it): with its default of 300 s it
   * disconnects clients that ping more often.
   */
  keepaliveSeconds?: number;
}

/** Options of every call. */
export interface CallOptions {
  signal?: AbortSignal;
  /** Longest duration of the call, seconds. Default: the client's. */
  timeoutSeconds?: number;
  /** gRPC request headers, such as `authorization`. */
  headers?: Record<string, string>;
}

type Client = ConnectedClient<GRPCInferenceServiceDefinition>;
type ClientOptions = NonNullable<Parameters<Client['serverLive']>[1]>;

/** Makes one call of the generated client. */
export type Send<T> = (client: Client, options: ClientOptions) => Promise<T>;

const definition = appendingBytes(GRPCInferenceServiceDefinition, 'modelInfer', 'requestType', {
  name: 'rawInputContents',
  number: 7,
});

/** The channel to one server. */
export class TritonConnection {
  readonly address: string;
  readonly requestTimeoutSeconds: number;
  readonly client: Client;
  readonly #connection: Connection<GRPCInferenceServiceDefinition>;

  constructor(options: ConnectionOptions) {
    this.address = options.address;
    this.requestTimeoutSeconds = options.requestTimeoutSeconds ?? 300;
    this.#connection = connect(definition, options.address, {
      maxMessageBytes: options.maxMessageBytes ?? 1 << 30,
      callTimeoutSeconds: this.requestTimeoutSeconds,
      windowBytes: 4 << 20,
      ...(options.keepaliveSeconds !== undefined && { keepaliveSeconds: options.keepaliveSeconds }),
      ...(options.tls && { tls: options.tls }),
    });
    this.client = this.#connection.client;
  }

  /** Number of connected servers; 1 if there is none. */
  get servers(): number {
    return Math.max(1, this.#connection.replicas.ready);
  }

  /**
   * Makes a call. Its errors keep the server's code and name the subject before the server's text. An abort stays an
   * AbortError.
   *
   * @param subject such as `model nano`
   */
  async call<T>(subject: string, options: CallOptions, send: Send<T>): Promise<T> {
    try {
      return await send(this.client, this.clientOptions(options));
    } catch (thrown) {
      throw isAbortError(thrown) ? thrown : this.explain(subject, thrown);
    }
  }

  clientOptions({ signal, timeoutSeconds, headers }: CallOptions): ClientOptions {
    return {
      ...(signal && { signal }),
      ...(timeoutSeconds !== undefined && { deadline: timeoutSeconds * 1000 }),
      ...(headers && { metadata: Metadata(headers) }),
    };
  }

  /** The error with the subject before its text; its cause has the server's text only. */
  explain(subject: string, thrown: unknown): FusionError {
    const error = toFusionError(thrown);
    return new FusionError(error.code, `${subject} on ${this.address}: ${error.message}`, {
      reason: error.reason,
      cause: error,
    });
  }

  close(): void {
    this.#connection.close();
  }
}
