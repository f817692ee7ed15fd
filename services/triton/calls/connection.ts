import { Metadata } from 'nice-grpc-common';
import { GRPCInferenceServiceDefinition } from '../../../proto/gen/grpc_service.ts';
import { type ConnectedClient, type Connection, connect } from '../../kit/channel.ts';
import { FusionError, isAbortError, toFusionError } from '../../kit/errors.ts';
import type { ClientTls } from '../../kit/tls.ts';

export interface ConnectionOptions {
  /** Where Triton's gRPC protocol is spoken: NVIDIA's server or the embedded one; see `connect()` for its forms. */
  address: string;
  /** Default: no TLS. */
  tls?: ClientTls;
  /** Longest that one request may take, waiting in the server's queue included, seconds. Default 300. */
  requestTimeoutSeconds?: number;
  /** Largest message taken or sent, bytes. Default 1 GiB. */
  maxMessageBytes?: number;
  /**
   * Silence during a request after which the server is asked whether it is still there, seconds. Default: as between all
   * services of the mesh, so that a silent server leaves the rotation within a minute. Triton must allow for it
   * (`--grpc-http2-min-recv-ping-interval-without-data`, as deploy/triton/start.sh sets it): by its own default of 300 s
   * it hangs up on a client that asks more often.
   */
  keepaliveSeconds?: number;
}

/** What every call takes. */
export interface CallOptions {
  signal?: AbortSignal;
  /** Longest that the call may take, seconds. Default: the client's. */
  timeoutSeconds?: number;
  /** gRPC request headers, such as `authorization`. */
  headers?: Record<string, string>;
}

type Client = ConnectedClient<GRPCInferenceServiceDefinition>;
type ClientOptions = NonNullable<Parameters<Client['serverLive']>[1]>;

/** Makes one call of the generated client. */
export type Send<T> = (client: Client, options: ClientOptions) => Promise<T>;

/** The channel to one server, and how its errors read. */
export class TritonConnection {
  readonly address: string;
  readonly requestTimeoutSeconds: number;
  readonly client: Client;
  readonly #connection: Connection<GRPCInferenceServiceDefinition>;

  constructor(options: ConnectionOptions) {
    this.address = options.address;
    this.requestTimeoutSeconds = options.requestTimeoutSeconds ?? 300;
    this.#connection = connect(GRPCInferenceServiceDefinition, options.address, {
      maxMessageBytes: options.maxMessageBytes ?? 1 << 30,
      callTimeoutSeconds: this.requestTimeoutSeconds,
      ...(options.keepaliveSeconds !== undefined && { keepaliveSeconds: options.keepaliveSeconds }),
      ...(options.tls && { tls: options.tls }),
    });
    this.client = this.#connection.client;
  }

  /**
   * Makes a call and names what it was about in its error, which keeps the server's code and text. An abort stays an
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

  /** The error with what it was about in front; its cause has what the server said alone. */
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
